/** Disk images for tests, made by qemu-img: what it converts them to is the truth that imports are compared with. */
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {open} from 'node:fs/promises';
import {promisify} from 'node:util';

const run = promisify(execFile);

/** Deterministic bytes that neither compress away nor repeat. */
export function noise(lengthBytes: number, seed = 1): Buffer {
	const bytes = Buffer.allocUnsafe(lengthBytes);
	let state = seed >>> 0 || 1;
	for (let at = 0; at < lengthBytes; at++) {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		bytes[at] = state;
	}
	return bytes;
}

/** Writes a raw disk with data here and there and holes between. */
export async function makeRawDisk(
	path: string,
	{sizeBytes, dataBytes, runs = 16, seed = 1}: {sizeBytes: number; dataBytes: number; runs?: number; seed?: number},
): Promise<void> {
	await using handle = await open(path, 'w');
	await handle.truncate(sizeBytes);
	const runBytes = Math.floor(dataBytes / runs);
	for (let index = 0; index < runs; index++) {
		const at = Math.floor((index * (sizeBytes - runBytes)) / Math.max(1, runs - 1) / 512) * 512;
		// Half of it compresses.
		const data = Buffer.concat([noise(runBytes / 2, seed + index), Buffer.alloc(runBytes / 2, index + 1)]);
		await handle.write(data, 0, data.length, at);
	}
}

/** `qemu-img convert` with the arguments given, for example `['-c', '-o', 'compat=0.10']`. */
export async function convertToQcow2(raw: string, qcow2: string, args: readonly string[] = []): Promise<void> {
	await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...args, raw, qcow2]);
}

export async function qemuImg(...args: readonly string[]): Promise<void> {
	await run('qemu-img', [...args]);
}

/** SHA-256 of a file or device, or of its first bytes. */
export async function digestOf(path: string, lengthBytes = Number.POSITIVE_INFINITY): Promise<string> {
	const hash = createHash('sha256');
	for await (const chunk of createReadStream(path, {highWaterMark: 1024 * 1024, end: lengthBytes - 1})) {
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- no encoding is set
		hash.update(chunk as Buffer);
	}
	return hash.digest('hex');
}

export interface LoopDevice extends AsyncDisposable {
	readonly path: string;
}

/** A block device on a file, of sectors of 512 bytes or of so many. Needs root. */
export async function attachLoop(file: string, sectorBytes = 512): Promise<LoopDevice> {
	const {stdout} = await run('losetup', ['--find', '--show', '--sector-size', String(sectorBytes), file]);
	const path = stdout.trim();
	return {
		path,
		async [Symbol.asyncDispose]() {
			await run('losetup', ['--detach', path]);
		},
	};
}
