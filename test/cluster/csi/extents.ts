/** A range of bytes on the disk below a file system: from `start` up to, not including, `end`. */
export type Extent = {readonly start: number; readonly end: number};

const fiemapUnitBytes = 512;

/**
 * The physical extents in the output of `xfs_io -c 'fiemap -v'`, holes left out:
 *
 *     1: [8192..10239]:   24768..26815      2048   0x0
 */
export function parseFiemap(output: string): readonly Extent[] {
	return [...output.matchAll(/^\s*\d+: \[\d+\.\.\d+\]:\s+(\d+)\.\.(\d+)\s/gm)].map(([, first, last]) => ({
		start: Number(first) * fiemapUnitBytes,
		end: (Number(last) + 1) * fiemapUnitBytes,
	}));
}

/** The same bytes, each once: sorted, without overlap. */
export function union(extents: readonly Extent[]): readonly Extent[] {
	const merged: Extent[] = [];
	for (const extent of extents.filter(({start, end}) => end > start).sort((a, b) => a.start - b.start)) {
		const last = merged.at(-1);
		if (last && extent.start <= last.end)
			merged[merged.length - 1] = {start: last.start, end: Math.max(last.end, extent.end)};
		else merged.push(extent);
	}
	return merged;
}

/** How many different bytes the extents cover. */
export function totalBytes(extents: readonly Extent[]): number {
	return union(extents).reduce((sum, {start, end}) => sum + (end - start), 0);
}

/** How many bytes the first cover that the second do not. */
export function bytesBeyond(extents: readonly Extent[], excluded: readonly Extent[]): number {
	return totalBytes([...extents, ...excluded]) - totalBytes(excluded);
}
