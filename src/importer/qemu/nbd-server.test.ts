import {once} from 'node:events';
import {type AddressInfo, connect, createServer} from 'node:net';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {noise} from '../../../test/support/disk-images.ts';
import type {RangeSource} from '../window/byte-source.ts';
import {NbdServer} from './nbd-server.ts';
import {ReadWindow} from '../window/window.ts';

const contents = noise(100_000);
const source: RangeSource = {
	lengthBytes: contents.length,
	shown: 'memory',
	async fetch({start, end}, deliver) {
		deliver(contents.subarray(start, end));
	},
};

const announced = 2 ** 50;

let window: ReadWindow;
let server: NbdServer;

beforeEach(() => {
	window = new ReadWindow({source, signal: new AbortController().signal});
	server = new NbdServer(window);
});
afterEach(async () => {
	server[Symbol.dispose]();
	await window.close();
});

/** Sends bytes, returns what came until the server is silent for a moment or closes. */
async function talk(...messages: readonly Buffer[]): Promise<{answer: Buffer; closed: boolean}> {
	await using meeting = createServer({noDelay: true}, (socket) => server.serve(socket)).listen(0, '127.0.0.1');
	await once(meeting, 'listening');
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
	const socket = connect({port: (meeting.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true});
	const pieces: Buffer[] = [];
	let closed = false;
	for (const message of messages) socket.write(message);
	await new Promise<void>((resolve) => {
		let timer = setTimeout(resolve, 100);
		socket.on('data', (data) => {
			pieces.push(data);
			clearTimeout(timer);
			timer = setTimeout(resolve, 30);
		});
		socket.on('error', () => {});
		socket.on('close', () => {
			closed = true;
			resolve();
		});
	});
	socket.destroy();
	return {answer: Buffer.concat(pieces), closed};
}

const clientFlags = Buffer.from([0, 0, 0, 3]);

function option(code: number, data = Buffer.alloc(0)): Buffer {
	const header = Buffer.alloc(16);
	header.write('IHAVEOPT', 0);
	header.writeUInt32BE(code, 8);
	header.writeUInt32BE(data.length, 12);
	return Buffer.concat([header, data]);
}

function request(type: number, offset: number, length: number): Buffer {
	const bytes = Buffer.alloc(28);
	bytes.writeUInt32BE(0x25609513, 0);
	bytes.writeUInt16BE(type, 6);
	bytes.write('cookie!!', 8);
	bytes.writeBigUInt64BE(BigInt(offset), 16);
	bytes.writeUInt32BE(length, 24);
	return bytes;
}

/** Greeting and answer to the option that begins transmission. */
const begun = 18 + 10;
const begin = [clientFlags, option(1)];

function replied(answer: Buffer): {error: number; cookie: string; data: Buffer} {
	const reply = answer.subarray(begun);
	return {error: reply.readUInt32BE(4), cookie: reply.toString('latin1', 8, 16), data: reply.subarray(16)};
}

test('a read across messages and blocks gives the bytes', async () => {
	const whole = Buffer.concat([...begin, request(0, 1000, 50_000)]);
	const {answer} = await talk(whole.subarray(0, 7), whole.subarray(7, 40), whole.subarray(40));
	const {error, cookie, data} = replied(answer);
	expect({error, cookie}).toEqual({error: 0, cookie: 'cookie!!'});
	expect(data.equals(contents.subarray(1000, 51_000))).toBe(true);
});

describe('beyond the end of the source', () => {
	const read = async (offset: number, length: number) =>
		replied((await talk(...begin, request(0, offset, length))).answer);
	const padded = (bytes: Buffer, length: number) => Buffer.concat([bytes, Buffer.alloc(length - bytes.length)]);

	test('the last sector is whole for what begins within a sector, and what refers to more is damaged', async () => {
		const {data} = await read(99_000, 1352);
		expect(data.equals(padded(contents.subarray(99_000), 1352))).toBe(true);
		expect(server.readPastEnd).toBeUndefined();
		expect((await read(99_000, 1353)).error).toBe(5);
		expect(server.readPastEnd).toBe(99_000);
		expect((await read(98_816, 1185)).error).toBe(5);
		expect((await read(announced - 512, 512)).error).toBe(5);
	});

	test('a format may read more than there is, and find its footer at the end', async () => {
		server = new NbdServer(window, {
			openReadBytes: 4096,
			firstReadBytes: 200_000,
			footerBytes: 1024,
		});
		expect((await read(99_000, 4096)).data.equals(padded(contents.subarray(99_000), 4096))).toBe(true);
		expect((await read(0, 200_000)).data.equals(padded(contents, 200_000))).toBe(true);
		expect((await read(announced - 1024, 1024)).data.equals(padded(contents.subarray(100_000 - 1024), 1024))).toBe(
			true,
		);
		expect(server.readPastEnd).toBeUndefined();
		expect((await read(512, 200_000)).error).toBe(5);
		expect((await read(99_000, 4095)).error).toBe(5);
		expect((await read(100_352, 4096)).error).toBe(5);
	});
});

test.each([
	['a write', request(1, 0, 512), 1],
	['a trim', request(4, 0, 512), 22],
	['an enormous read', request(0, 0, 2 ** 31), 22],
	['a read of nothing', request(0, 0, 0), 22],
])('%s is refused', async (_, message, error) => {
	expect(replied((await talk(...begin, message)).answer).error).toBe(error);
});

test.each([
	['an option that is none', [clientFlags, Buffer.alloc(16, 1)]],
	['an endless option', [clientFlags, option(7, Buffer.alloc(5000))]],
	['a request that is none', [...begin, Buffer.alloc(28, 1)]],
])('%s ends the connection', async (_, messages) => {
	expect((await talk(...messages)).closed).toBe(true);
});

test('structured replies and TLS are not spoken', async () => {
	const {answer} = await talk(clientFlags, option(8), option(5));
	expect(answer.readUInt32BE(18 + 12)).toBe(0x80000001);
	expect(answer.readUInt32BE(18 + 20 + 12)).toBe(0x80000001);
});
