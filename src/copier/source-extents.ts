/** Where a disk has data. A file system knows its holes; a block device does not tell, and is read whole. */
import type {WorkerVolume} from '../api/worker-contract.ts';
import {CommandError, runCommand} from '../importer/command.ts';
import {imageOptions} from '../importer/qemu/image-options.ts';
import {diskNode} from '../importer/target/target.ts';

export interface Extent {
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
}

/** One entry of `qemu-img map --output=json`, which asks the file system by SEEK_DATA and SEEK_HOLE: Node cannot. */
interface MapEntry {
	readonly start: number;
	readonly length: number;
	readonly data: boolean;
	readonly zero: boolean;
}

export async function sourceExtents(
	source: WorkerVolume,
	{sizeBytes, signal}: {readonly sizeBytes: number; readonly signal: AbortSignal},
): Promise<Extent[]> {
	const whole = sizeBytes === 0 ? [] : [{start: 0, end: sizeBytes}];
	if (source.volumeMode === 'Block') return whole;
	const lines = new MapLines();
	try {
		const args = ['map', '--output=json', '--image-opts', imageOptions({driver: 'raw', file: diskNode(source)})];
		await runCommand('qemu-img', args, {signal, onOutput: (text) => lines.add(text)});
	} catch (error) {
		if (!(error instanceof CommandError)) throw error;
		// What the holes are is a matter of speed only.
		return whole;
	}
	return dataExtents(lines.entries, sizeBytes);
}

/** A map of a scattered file is long: a line an extent, read as it comes. */
class MapLines {
	readonly entries: MapEntry[] = [];
	#rest = '';

	add(text: string): void {
		const lines = `${this.#rest}${text}`.split('\n');
		this.#rest = lines.pop() ?? '';
		for (const line of lines) {
			const entry = parseMapLine(line);
			if (entry) this.entries.push(entry);
		}
	}
}

/** `[{ "start": 0, "length": 4096, …},`: the brackets of the array stand on the lines of its entries. */
export function parseMapLine(line: string): MapEntry | undefined {
	const json = line.slice(line.indexOf('{'), line.lastIndexOf('}') + 1);
	if (json === '') return undefined;
	const {start, length, data, zero} = JSON.parse(json) as Partial<MapEntry>;
	if (typeof start !== 'number' || typeof length !== 'number') throw new Error(`no entry of a qemu-img map: ${line}`);
	return {start, length, data: data !== false, zero: zero === true};
}

/** Ascending, joined where they touch. What the map does not speak of counts as data. */
export function dataExtents(map: readonly MapEntry[], sizeBytes: number): Extent[] {
	const extents: Extent[] = [];
	const add = (start: number, end: number) => {
		const last = extents.at(-1);
		if (start >= end) return;
		if (last?.end === start) extents[extents.length - 1] = {start: last.start, end};
		else extents.push({start, end});
	};
	let known = 0;
	for (const {start, length, data, zero} of map.toSorted((a, b) => a.start - b.start)) {
		add(known, Math.min(start, sizeBytes));
		if (data && !zero) add(Math.max(known, start), Math.min(start + length, sizeBytes));
		known = Math.max(known, start + length);
	}
	add(known, sizeBytes);
	return extents;
}
