/** qemu-img, the only parser of image formats here. */
import type {Socket} from 'node:net';
import {z} from 'zod';
import {CommandError, runCommand} from '../command.ts';
import {type DiskNode, type ImageNode, imageOptions} from './image-options.ts';

const imageInfo = z.object({
	// Of a made-up image more than a number holds exactly: then it is too large in any case.
	'virtual-size': z.number().nonnegative(),
	'backing-filename': z.string().optional(),
	'format-specific': z
		.object({
			data: z.looseObject({'data-file': z.string().optional(), extents: z.array(z.unknown()).optional()}).optional(),
		})
		.optional(),
});

export interface ImageInfo {
	readonly virtualBytes: number;
	/** Backing file, external data file, or several extents. */
	readonly needsOthers: boolean;
}

const mebibyte = 1024 ** 2;

/** Enough for every honest image (a table of 32 MiB, the largest of qcow2, included), too little for one that is made to exhaust its reader. */
const parserLimits = {cpuSeconds: 30, dataBytes: 128 * mebibyte};
/** Honest images with clusters of 2 MiB, compressed, take 164 MiB, of which 65 MiB are ever touched. */
const convertDataBytes = 256 * mebibyte;

/**
 * Of the processor, not of the clock: an image whose every byte is unpacked on a slow one needs a tenth of it. What waits
 * needs no limit: every read of the source has a deadline of its own.
 */
function convertSeconds(virtualBytes: number): number {
	return 300 + Math.ceil((60 * virtualBytes) / 1024 ** 3);
}

export async function readImageInfo({node, onSocket}: ServedNode, signal: AbortSignal): Promise<ImageInfo> {
	const output = await runCommand('qemu-img', ['info', '--output=json', '--image-opts', imageOptions(node)], {
		signal,
		limits: parserLimits,
		onSocket,
	});
	return parseImageInfo(output);
}

/** What `qemu-img info --output=json` prints. */
export function parseImageInfo(output: string): ImageInfo {
	const info = imageInfo.parse(JSON.parse(output));
	const data = info['format-specific']?.data;
	const extents = data?.extents ?? [];
	return {
		virtualBytes: info['virtual-size'],
		needsOthers: info['backing-filename'] !== undefined || data?.['data-file'] !== undefined || extents.length > 1,
	};
}

/** An image on top of a socket, and who speaks at its other end. */
export interface ServedNode {
	readonly node: ImageNode;
	readonly onSocket: (socket: Socket) => void;
}

export interface ConvertOptions {
	readonly source: ServedNode;
	readonly virtualBytes: number;
	/** The file or device: exists already, at least as large as the source. */
	readonly target: DiskNode;
	/** The target reads as zeros everywhere: holes of the source need no write. */
	readonly targetIsZero: boolean;
	/** Zeros are not written. */
	readonly sparse: boolean;
	/** Bypass the page cache where the target's file system can. */
	readonly directIo: boolean;
	readonly onPercent: (percent: number) => void;
	readonly signal: AbortSignal;
}

/**
 * `-W -m 8`: eight coroutines with 2 MiB each, writing as data comes; sixteen are no faster, and read too far ahead for the
 * window. Handing direct writes to the kernel takes a fifth less of the processor than handing them to threads; where the
 * kernel has no more room for such (fs.aio-max-nr), threads do it.
 */
export async function convertImage(options: ConvertOptions): Promise<void> {
	const {target, directIo, signal} = options;
	try {
		await convert({...options, target: {...target, nativeAio: directIo}});
	} catch (error) {
		signal.throwIfAborted();
		if (!(error instanceof CommandError) || !lacksNativeAio(error.stderr)) throw error;
		await convert(options);
	}
}

/** Says so when it opens the target: nothing was read or written then. */
export function lacksNativeAio(stderr: string): boolean {
	return /native AIO|aio=native/.test(stderr);
}

async function convert(options: ConvertOptions): Promise<void> {
	const {source, virtualBytes, target, targetIsZero, sparse, directIo, onPercent, signal} = options;
	const args = [
		'convert',
		'-p',
		'-n',
		'-W',
		'-m',
		'8',
		'-t',
		directIo ? 'none' : 'writeback',
		...(targetIsZero ? ['--target-is-zero'] : []),
		...(sparse ? [] : ['-S', '0']),
		'--image-opts',
		'--target-image-opts',
		imageOptions(source.node),
		imageOptions({driver: 'raw', file: target}),
	];
	await runCommand('qemu-img', args, {
		signal,
		limits: {cpuSeconds: convertSeconds(virtualBytes), dataBytes: convertDataBytes},
		onSocket: source.onSocket,
		onOutput(text) {
			const percent = lastPercent(text);
			if (percent !== undefined) onPercent(percent);
		},
	});
}

/** qemu-img -p prints `    (12.34/100%)` and a carriage return, over and over. */
export function lastPercent(text: string): number | undefined {
	const last = [...text.matchAll(/\((\d+\.\d+)\/100%\)/g)].at(-1)?.[1];
	return last === undefined ? undefined : Number(last);
}
