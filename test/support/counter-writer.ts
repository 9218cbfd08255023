/**
 * A Pod that writes a counter to its disk for as long as it lives, as a database would: in two places, each durable
 * (fdatasync) before the next write is begun. It tells over HTTP which value is durable in both.
 *
 * So a disk that shows the source as it was at one moment has in its second place at least every value that was told
 * before, and in its first place that value or the next.
 */
import {once} from 'node:events';
import {get} from 'node:http';
import {text} from 'node:stream/consumers';
import type {Pod} from '../../src/api/kubernetes.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import {type DiskPod, removePod, startDiskPod, waitForPod} from './disk-pod.ts';
import {readDisk, type VolumeImage} from './volume-image.ts';
import {until} from '../cluster/until.ts';

const firstPlace = 0;
/** Half way into the smallest disk that tests make. */
const secondPlace = 8 * 1024 ** 2;
const port = 8081;
/** Leaves some of a small machine to the others. */
const pauseMs = 2;

const program = `
const {fdatasyncSync, openSync, readSync, writeSync} = require('node:fs');
const disk = openSync(process.env.DISK, 'r+');
const block = Buffer.alloc(4096);
readSync(disk, block, 0, 4096, ${secondPlace});
let durable = block.readBigUInt64LE();
require('node:http').createServer((request, response) => response.end(String(durable))).listen(${port});
function put(value, at) {
	block.writeBigUInt64LE(value);
	writeSync(disk, block, 0, 4096, at);
	fdatasyncSync(disk);
}
setInterval(() => {
	const next = durable + 1n;
	put(next, ${firstPlace});
	put(next, ${secondPlace});
	durable = next;
}, ${pauseMs});
`;

export interface CounterWriter extends AsyncDisposable {
	/** A value that was durable before this resolves. */
	durable(): Promise<number>;
}

async function ask(address: string): Promise<number> {
	const request = get({host: address, port, agent: false, timeout: 5000});
	const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
	const value = Number(await text(response));
	if (!Number.isSafeInteger(value)) throw new Error(`the counter at ${address} is no number`);
	return value;
}

/** On a Block claim; resolves when it counts. */
export async function startCounterWriter(
	api: KubeApi,
	where: Pick<DiskPod, 'namespace' | 'claim' | 'image'>,
): Promise<CounterWriter> {
	const script = `exec node - <<'PROGRAM'${program}PROGRAM\n`;
	const started = await startDiskPod(api, {...where, name: `counter-${where.claim}`, script});
	const pod: Pod = await waitForPod(api, started, 'Running');
	const address = pod.status?.podIP;
	if (!address) throw new Error(`Pod ${pod.metadata.name} runs without an address`);
	await until('the counter counts', async () => ((await ask(address)) > 0 ? true : undefined));
	return {
		durable: () => ask(address),
		[Symbol.asyncDispose]: () => removePod(api, pod),
	};
}

/** The value that was durable at the moment the disk shows; throws where it shows no single moment. */
export async function readCounter(image: VolumeImage): Promise<number> {
	const value = async (at: number) => Number((await readDisk(image, at, 8)).readBigUInt64LE());
	const [first, second] = [await value(firstPlace), await value(secondPlace)];
	if (first !== second && first !== second + 1) {
		throw new Error(
			`${image.handle} has ${first} in its first place and ${second} in its second: no disk ever had both`,
		);
	}
	return second;
}
