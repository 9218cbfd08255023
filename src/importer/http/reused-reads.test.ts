import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {Agent as HttpAgent, get as getHttp, type IncomingMessage} from 'node:http';
import {Agent as HttpsAgent, get as getHttps} from 'node:https';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {PassThrough} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {noise} from '../../../test/support/disk-images.ts';
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {reuseReads} from './reused-reads.ts';

const contents = noise(8 * 1024 * 1024);
let folder: string;
let plain: ImageServer;
let secure: ImageServer;
const agents = {
	http: new HttpAgent({keepAlive: true, maxSockets: 1}),
	https: new HttpsAgent({keepAlive: true, maxSockets: 1}),
};

beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), 'onesnap-reads-'));
	const [key, cert] = [path.join(folder, 'key'), path.join(folder, 'cert')];
	const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
	const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert];
	await promisify(execFile)('openssl', ['req', '-x509', ...made, ...subject]);
	const tls = {key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8')};
	plain = await startImageServer({files: {'/disk': contents}});
	secure = await startImageServer({files: {'/disk': contents}, tls});
	reuseReads(agents.http);
	reuseReads(agents.https);
});
afterAll(async () => {
	agents.http.destroy();
	agents.https.destroy();
	await Promise.all([plain.close(), secure.close(), rm(folder, {recursive: true})]);
});

function ask(secured: boolean): Promise<IncomingMessage> {
	return new Promise((resolve, reject) => {
		const request = secured
			? getHttps(`${secure.url}/disk`, {agent: agents.https, rejectUnauthorized: false}, resolve)
			: getHttp(`${plain.url}/disk`, {agent: agents.http}, resolve);
		request.once('error', reject);
	});
}

describe.each([
	['http', false],
	['https', true],
])('over %s', (_, secured) => {
	test('what somebody keeps is not written over', async () => {
		const sockets = new Set();
		for (let round = 0; round < 4; round++) {
			const response = await ask(secured);
			sockets.add(response.socket);
			const kept: Buffer[] = [];
			for await (const piece of response as AsyncIterable<Buffer>) kept.push(piece);
			expect(Buffer.concat(kept).equals(contents)).toBe(true);
		}
		expect(sockets.size).toBe(1);
	});

	test('nor what waits for a slow reader', async () => {
		const response = await ask(secured);
		const slow = response.pipe(new PassThrough({highWaterMark: contents.length * 2}));
		await new Promise((resolve) => response.once('end', resolve));
		const kept: Buffer[] = [];
		for await (const piece of slow as AsyncIterable<Buffer>) {
			kept.push(piece);
			await sleep(0);
		}
		expect(Buffer.concat(kept).equals(contents)).toBe(true);
	});
});
