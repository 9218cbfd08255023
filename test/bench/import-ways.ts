/**
 * Ways from a file on a server to a disk in a claim. Each ends with the disk synced: qemu-img flushes a target without cache
 * before it ends.
 */
import {spawn} from 'node:child_process';
import {readFile, rm} from 'node:fs/promises';
import path from 'node:path';
import {type ImportTask, parseTerminationMessage, workerTaskVariable} from '../../src/api/worker-contract.ts';
import type {BenchImage} from './import-images.ts';
import {ResidentPeak} from './resident.ts';

export const ways = ['onesnap', 'local', 'scratch', 'nbdkit'] as const;
export type Way = (typeof ways)[number];

export interface Place {
	/** The importer as its image has it. */
	readonly importer: string;
	/** Root of the claim. */
	readonly claim: string;
	/** For what a way puts down on its way; on the same disk. */
	readonly scratch: string;
	readonly url: string;
	/** Longest that a way may take. */
	readonly limitMs: number;
}

export interface Try {
	readonly seconds: number;
	/** It was stopped at the limit. */
	readonly stopped: boolean;
	readonly residentBytes: number;
}

const terminationName = 'termination';
const downloadName = 'download';

type Command = readonly [program: string, ...args: string[]];

const convert = ['qemu-img', 'convert', '-W', '-m', '16', '-t', 'none'] as const;

/** Undefined where the way does not exist for the image. */
function commandsOf(way: Way, image: BenchImage, place: Place): readonly Command[] | undefined {
	switch (way) {
		case 'onesnap':
			return [[process.execPath, '--max-semi-space-size=2', '--max-old-space-size=64', place.importer]];
		case 'local':
			return image.path === undefined ? undefined : fromFile(image.path, image, place);
		case 'scratch': {
			if (image.path === undefined) return undefined;
			const download = path.join(place.scratch, downloadName);
			return [
				['curl', '--silent', '--show-error', '--fail', '--output', download, place.url],
				...fromFile(download, image, place),
			];
		}
		case 'nbdkit': {
			if (image.path === undefined || image.format === 'raw.zst') return undefined;
			const conversion = [...convert, '-f', image.format, '-O', 'raw', '"$uri"', quoted(diskOf(place))].join(' ');
			return [['nbdkit', '-U', '-', '--filter=readahead', 'curl', place.url, '--run', conversion]];
		}
	}
	return way satisfies never;
}

function fromFile(file: string, {format}: BenchImage, place: Place): readonly Command[] {
	const disk = diskOf(place);
	if (format !== 'raw.zst') return [[...convert, '-f', format, '-O', 'raw', file, disk]];
	return [
		['zstd', '--decompress', '--quiet', '--sparse', '--force', file, '-o', disk],
		['sync', disk],
	];
}

export function isPossible(way: Way, image: BenchImage, place: Place): boolean {
	return commandsOf(way, image, place) !== undefined;
}

export function diskOf({claim}: Pick<Place, 'claim'>): string {
	return path.join(claim, 'disk.img');
}

/** The claim must be empty. What is put down for the time of the try is removed afterwards. */
export async function tryOnce(way: Way, image: BenchImage, place: Place): Promise<Try> {
	const commands = commandsOf(way, image, place) ?? [];
	const env = way === 'onesnap' ? importerEnvironment(image, place) : {};
	const startedMs = performance.now();
	const deadlineMs = startedMs + place.limitMs;
	let [stopped, residentBytes] = [false, 0];
	for (const command of commands) {
		const end = await runUntil(deadlineMs, command, env);
		residentBytes = Math.max(residentBytes, end.residentBytes);
		stopped ||= end.stopped;
		if (stopped) break;
	}
	const seconds = (performance.now() - startedMs) / 1000;
	if (way === 'onesnap' && !stopped) await checkImported(place);
	await rm(path.join(place.scratch, downloadName), {force: true});
	return {seconds, stopped, residentBytes};
}

function importerEnvironment(image: BenchImage, {claim, scratch, url}: Place): Record<string, string> {
	const filesystemOverhead = 0.06;
	const task: ImportTask = {
		source: {kind: 'http', url},
		target: {volumeMode: 'Filesystem', path: claim},
		ownerUid: 'bench',
		requestedBytes: String(Math.ceil(image.virtualBytes * (1 + filesystemOverhead))),
		filesystemOverhead,
		preallocation: false,
	};
	return {
		NODE_ENV: 'production',
		[workerTaskVariable]: JSON.stringify(task),
		ONESNAP_METRICS_PORT: '0',
		ONESNAP_TERMINATION_LOG: path.join(scratch, terminationName),
	};
}

/** What can never work ends with code 0 too. */
async function checkImported({scratch}: Place): Promise<void> {
	const text = await readFile(path.join(scratch, terminationName), 'utf8');
	if (parseTerminationMessage(text)?.outcome !== 'succeeded') throw new Error(`the importer says ${text}`);
}

/** Rejects where the program fails by itself. A program stopped at the deadline takes with it whatever it started. */
async function runUntil(
	deadlineMs: number,
	[program, ...args]: Command,
	env: Readonly<Record<string, string>>,
): Promise<{stopped: boolean; residentBytes: number}> {
	const child = spawn(program, args, {
		env: {...process.env, ...env},
		stdio: ['ignore', 'ignore', 'pipe'],
		detached: true,
	});
	let [stopped, said] = [false, ''];
	child.stderr.setEncoding('utf8').on('data', (text: string) => (said = `${said}${text}`.slice(-2000)));
	const stop = setTimeout(() => {
		stopped = true;
		if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
	}, deadlineMs - performance.now());
	using peak = new ResidentPeak(child.pid ?? 0);
	try {
		const code = await new Promise<number | null>((resolve, reject) => {
			child.once('error', reject).once('close', resolve);
		});
		if (code !== 0 && !stopped)
			throw new Error(`${[program, ...args].join(' ')} ended with code ${code}: ${said.trim()}`);
		return {stopped, residentBytes: peak.bytes};
	} finally {
		clearTimeout(stop);
	}
}

function quoted(text: string): string {
	return `'${text.replaceAll("'", "'\\''")}'`;
}
