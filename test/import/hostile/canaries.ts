/** Files, a socket and a port that hostile images name. Nobody may look at them. */
import {mkdir, writeFile} from 'node:fs/promises';
import {createServer, type AddressInfo} from 'node:net';
import path from 'node:path';
import {noise} from '../../support/disk-images.ts';
import type {Canaries} from './case.ts';

export interface CanaryWatch extends Canaries, AsyncDisposable {
	/** Where the worker is started: relative names begin here. */
	readonly workingFolder: string;
	isCanary(place: string): boolean;
	/** What was connected to since the last call. */
	takeTouched(): readonly string[];
}

export async function placeCanaries(folder: string): Promise<CanaryWatch> {
	const workingFolder = path.join(folder, 'working');
	const secrets = path.join(folder, 'secrets');
	for (const place of [workingFolder, secrets]) await mkdir(place, {recursive: true});
	const file = path.join(secrets, 'canary.img');
	const relative = 'canary-beside.img';
	for (const place of [file, path.join(workingFolder, relative)]) await writeFile(place, noise(1024 * 1024, 99));
	const touched: string[] = [];
	const listen = async (where: string | number) => {
		const server = createServer((socket) => {
			touched.push(typeof where === 'string' ? 'the socket' : 'the port');
			socket.destroy();
		});
		await new Promise<void>((resolve) =>
			typeof where === 'string' ? server.listen(where, resolve) : server.listen(where, '127.0.0.1', resolve),
		);
		return server;
	};
	const socket = path.join(secrets, 'canary.sock');
	const servers = [await listen(socket), await listen(0)] as const;
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the second listens on TCP
	const {port} = servers[1].address() as AddressInfo;
	return {
		file,
		relative,
		socket,
		port,
		workingFolder,
		isCanary: (place) =>
			place.startsWith(secrets) || place.includes('canary') || place === '/etc/passwd' || place.endsWith(`:${port}`),
		takeTouched: () => touched.splice(0),
		async [Symbol.asyncDispose]() {
			for (const server of servers) await new Promise((resolve) => server.close(resolve));
		},
	};
}
