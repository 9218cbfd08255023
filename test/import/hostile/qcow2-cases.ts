/** Hand-made: qcow2 images that want something. */
import {deflateRawSync} from 'node:zlib';
import type {BaseImages} from './base-images.ts';
import {replaced} from './bytes.ts';
import {type Canaries, type HostileCase, hostileClaimBytes} from './case.ts';
import {
	bigEndian,
	type Extension,
	extensionType,
	fieldOf,
	l1Table,
	l2Tables,
	withEntries,
	withExtensions,
	withFields,
} from './qcow2-bytes.ts';

type Made = Pick<HostileCase, 'name' | 'source'> & Partial<HostileCase>;
const dataFileBit = 4;
const rawDataFileBit = 2;

export function qcow2Cases(images: BaseImages, canaries: Canaries): readonly HostileCase[] {
	const groups: Record<string, readonly Made[]> = {
		'other files': [...backingFiles(images, canaries), ...dataFiles(images, canaries)],
		encrypted: encrypted(images),
		sizes: sizes(images),
		tables: tables(images),
		extensions: extensions(images),
		snapshots: snapshots(images),
		compressed: compressed(images),
	};
	return Object.entries(groups).flatMap(([group, cases]) => cases.map((each) => ({group, format: 'qcow2', ...each})));
}

function backingFiles({qcow2, v2}: BaseImages, {file, relative, socket, port}: Canaries): readonly Made[] {
	const named = (base: Buffer, name: string, format?: string) =>
		withExtensions(
			base,
			format === undefined ? [] : [{type: extensionType.backingFormat, data: Buffer.from(format)}],
			name,
		);
	const json = JSON.stringify({driver: 'raw', file: {driver: 'file', filename: file}});
	const names: ReadonlyArray<readonly [string, string, string?]> = [
		['/etc/passwd', '/etc/passwd'],
		['a file', file, 'raw'],
		['a relative name', relative, 'raw'],
		['file:', `file:${file}`, 'raw'],
		['json:', `json:${json}`],
		['json: of another format', `json:${json}`, 'qcow2'],
		['nbd:unix:', `nbd:unix:${socket}`, 'raw'],
		['nbd://', `nbd://127.0.0.1:${port}/`, 'raw'],
		['http://', `http://127.0.0.1:${port}/disk`, 'raw'],
		['fat:', 'fat:/etc'],
		['a device', '/dev/zero', 'host_device'],
		['a name of 1023 bytes', `/${'x'.repeat(1022)}`],
	];
	return [
		...names.map(([name, backing, format]) => ({
			name: `backing file ${name}`,
			source: named(qcow2, backing, format),
			expect: ['ImageNotStandalone'] as const,
		})),
		{name: 'backing file, version 2', source: withBackingV2(v2, file), expect: ['ImageNotStandalone']},
		{
			name: 'backing file without a name',
			source: withFields(qcow2, {backingOffset: 512}),
			expect: ['ImageNotStandalone'],
		},
		{
			name: 'backing name without a place',
			source: withFields(qcow2, {backingSize: 20}),
			expect: ['ImageNotStandalone'],
		},
		{
			name: 'backing format alone',
			source: withExtensions(qcow2, [{type: extensionType.backingFormat, data: Buffer.from('vmdk')}]),
		},
	];
}

function withBackingV2(v2: Buffer, name: string): Buffer {
	return withFields(replaced(v2, 72 + 8, Buffer.from(name)), {backingOffset: 72 + 8, backingSize: name.length});
}

function dataFiles({qcow2}: BaseImages, {file, relative, port}: Canaries): readonly Made[] {
	const named = (name: string): Extension => ({type: extensionType.dataFile, data: Buffer.from(name)});
	const marked = (base: Buffer) => withFields(base, {incompatible: dataFileBit});
	return [
		...[file, relative, `json:{"driver":"file","filename":"${file}"}`, `nbd://127.0.0.1:${port}/`].map((name) => ({
			name: `data file ${name.replace(file, 'FILE').replace(String(port), 'PORT')}`,
			source: marked(withExtensions(qcow2, [named(name)])),
			expect: ['ImageNotStandalone'] as const,
		})),
		{name: 'data file without a name', source: marked(qcow2), expect: ['ImageNotStandalone']},
		{
			name: 'raw data file',
			source: withFields(marked(withExtensions(qcow2, [named(file)])), {autoclear: rawDataFileBit}),
			expect: ['ImageNotStandalone'],
		},
		{name: 'a data file is named, and none is used', source: withExtensions(qcow2, [named(file)])},
		{name: 'raw data file bit alone', source: withFields(qcow2, {autoclear: rawDataFileBit})},
	];
}

/** Not made by qemu-img: to make a key of LUKS it measures the processor's time, which fails now and then. */
function encrypted({qcow2, raw}: BaseImages): readonly Made[] {
	const header = Buffer.concat([bigEndian(BigInt(qcow2.length), 8), bigEndian(4096n, 8)]);
	const luks = replaced(raw, 0, Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'));
	const inside = withExtensions(qcow2, [{type: extensionType.encryption, data: header}]);
	return [
		{name: 'legacy AES', source: withFields(qcow2, {cryptMethod: 1}), expect: ['ImageEncrypted']},
		{
			name: 'LUKS inside',
			source: Buffer.concat([withFields(inside, {cryptMethod: 2}), luks]),
			expect: ['ImageEncrypted'],
		},
		{name: 'LUKS without its header', source: withFields(qcow2, {cryptMethod: 2}), expect: ['ImageEncrypted']},
		{name: 'an unknown method', source: withFields(qcow2, {cryptMethod: 99}), expect: ['ImageEncrypted']},
		{name: 'a LUKS container', source: luks, expect: ['ImageEncrypted', 'FormatNotSupported']},
	];
}

function sizes({qcow2}: BaseImages): readonly Made[] {
	const sized = (virtualSize: bigint) => withFields(qcow2, {virtualSize});
	const claim = BigInt(hostileClaimBytes);
	return [
		{name: 'virtual size 0', source: sized(0n), expect: ['InvalidImage']},
		{name: 'virtual size 2^63', source: sized(2n ** 63n), expect: ['InvalidImage', 'ImageTooLarge']},
		{name: 'virtual size 8 PiB', source: sized(2n ** 53n), expect: ['InvalidImage', 'ImageTooLarge']},
		{name: 'virtual size 1 TiB', source: sized(2n ** 40n), expect: ['InvalidImage', 'ImageTooLarge']},
		{name: 'one sector more than the claim', source: sized(claim + 512n), expect: ['InvalidImage', 'ImageTooLarge']},
		{name: 'no whole number of sectors', source: sized(1_000_001n), expect: 'imported'},
		{name: 'half a sector', source: sized(100n), expect: ['InvalidImage']},
		{name: 'half of its data', source: sized(2n ** 21n), expect: 'imported'},
	];
}

function tables({qcow2}: BaseImages): readonly Made[] {
	const l1 = l1Table(qcow2);
	const [l2] = l2Tables(qcow2);
	if (!l2) throw new Error('the image has no data');
	const copied = 2n ** 63n;
	const everyL1 = (value: bigint) =>
		withEntries(qcow2, l1, Object.fromEntries(Array.from({length: l1.count}, (_, index) => [index, value])));
	const everyL2 = (value: bigint) =>
		withEntries(qcow2, l2, Object.fromEntries(Array.from({length: l2.count}, (_, index) => [index, value])));
	const end = BigInt(Math.ceil(qcow2.length / 4096) * 4096);
	return [
		{
			name: 'L1 of 32 MiB',
			source: withFields(Buffer.concat([qcow2, Buffer.alloc(33 * 2 ** 20)]), {l1Offset: end, l1Size: 2 ** 22}),
		},
		{name: 'L1 of 32 GiB', source: withFields(qcow2, {l1Size: 2 ** 32 - 1})},
		{name: 'no L1', source: withFields(qcow2, {l1Size: 0})},
		{name: 'L1 is the header', source: withFields(qcow2, {l1Offset: 0})},
		{name: 'L1 beyond the end', source: withFields(qcow2, {l1Offset: 2n ** 40n})},
		{name: 'L1 is its own L2', source: everyL1(copied | BigInt(l1.at))},
		{name: 'all L1 entries share one L2', source: everyL1(copied | BigInt(l2.at))},
		{name: 'L2 is the header', source: everyL1(copied)},
		{name: 'clusters are the header', source: everyL2(copied | 0n)},
		{name: 'clusters are the L2 itself', source: everyL2(copied | BigInt(l2.at)), expect: 'imported'},
		{name: 'clusters are all the same', source: everyL2(copied | (BigInt(l2.at) + 4096n))},
		{name: 'clusters without alignment', source: everyL2(copied | (BigInt(l2.at) + 512n))},
		{name: 'clusters beyond the end', source: everyL2(copied | (2n ** 45n)), expect: ['InvalidImage']},
		{
			name: 'clusters at the end of the address space',
			source: everyL2(copied | 0x00fffffffffff000n),
		},
		{name: 'refcount table of 4 TiB', source: withFields(qcow2, {refcountTableClusters: 2 ** 30})},
		{
			name: 'refcount table of 8 MiB',
			source: withFields(Buffer.concat([qcow2, Buffer.alloc(9 * 2 ** 20)]), {
				refcountTableOffset: end,
				refcountTableClusters: 2048,
			}),
		},
		{name: 'refcount table beyond the end', source: withFields(qcow2, {refcountTableOffset: 2n ** 50n})},
		{name: 'refcounts of 128 bits', source: withFields(qcow2, {refcountOrder: 7})},
		{name: 'refcounts of 64 bits', source: withFields(qcow2, {refcountOrder: 6})},
		{name: 'marked as corrupt', source: withFields(qcow2, {incompatible: 2})},
		{name: 'marked as not closed', source: withFields(qcow2, {incompatible: 1, compatible: 1}), expect: 'imported'},
		{name: 'features nobody knows', source: withFields(qcow2, {incompatible: 2n ** 63n})},
		{
			name: 'compatible features nobody knows',
			source: withFields(qcow2, {compatible: 2n ** 63n, autoclear: 2n ** 63n}),
			expect: 'imported',
		},
		{name: 'extended L2 that is none', source: withFields(qcow2, {incompatible: 16})},
		{name: 'only zeros but the magic', source: replaced(Buffer.alloc(qcow2.length), 0, qcow2.subarray(0, 8))},
		{name: 'the first 60%', source: qcow2.subarray(0, Math.floor(qcow2.length * 0.6)), expect: ['InvalidImage']},
		{name: 'the header alone', source: qcow2.subarray(0, 104), expect: ['InvalidImage']},
		{name: 'the magic alone', source: qcow2.subarray(0, 4), expect: ['InvalidImage']},
		{name: 'version 1', source: withFields(qcow2, {version: 1}), expect: ['FormatNotSupported']},
	];
}

function extensions({qcow2, bitmap}: BaseImages): readonly Made[] {
	const nothing = Buffer.alloc(0);
	const bitmaps = (count: number, directoryBytes: bigint, at: bigint): Extension => ({
		type: extensionType.bitmaps,
		data: Buffer.concat([bigEndian(BigInt(count), 4), Buffer.alloc(4), bigEndian(directoryBytes, 8), bigEndian(at, 8)]),
	});
	const marked = (extension: Extension) => withFields(withExtensions(qcow2, [extension]), {autoclear: 1});
	return [
		{
			name: 'a length of 4 GiB',
			source: withExtensions(qcow2, [{type: extensionType.unknown, data: nothing, length: 2 ** 32 - 1}]),
		},
		{
			name: 'a length that wraps to 0',
			source: withExtensions(qcow2, [{type: extensionType.unknown, data: nothing, length: 2 ** 32 - 7}]),
		},
		{
			name: 'feature names of 4 GiB',
			source: withExtensions(qcow2, [{type: extensionType.featureNames, data: nothing, length: 2 ** 32 - 8}]),
		},
		{
			name: 'a backing format of 3000 bytes',
			source: withExtensions(qcow2, [{type: extensionType.backingFormat, data: Buffer.alloc(3000, 'x')}]),
		},
		{
			name: 'hundreds of empty ones',
			source: withExtensions(
				qcow2,
				Array.from({length: 450}, () => ({type: extensionType.unknown, data: nothing})),
			),
		},
		{
			name: 'no end of them',
			source: replaced(qcow2, Number(fieldOf(qcow2, 'headerLength')), Buffer.alloc(4096 - 112, 0x01)),
		},
		{name: 'a header longer than its cluster', source: withFields(qcow2, {headerLength: 2 ** 31})},
		{name: 'a header of 8 bytes', source: withFields(qcow2, {headerLength: 8})},
		{
			name: 'encryption header far away',
			source: withExtensions(qcow2, [
				{type: extensionType.encryption, data: Buffer.concat([bigEndian(2n ** 60n, 8), bigEndian(2n ** 40n, 8)])},
			]),
		},
		{name: 'a true dirty bitmap', source: bitmap, expect: 'imported'},
		{name: '65535 bitmaps', source: marked(bitmaps(65_535, 2n ** 26n, 4096n))},
		{name: '2^32 bitmaps in 16 EiB', source: marked(bitmaps(2 ** 32 - 1, 2n ** 64n - 1n, 2n ** 63n))},
		{name: 'bitmaps in the header', source: marked(bitmaps(1, 64n, 0n))},
	];
}

function snapshots({qcow2, snapshots: two}: BaseImages): readonly Made[] {
	const at = Math.ceil(qcow2.length / 4096) * 4096;
	const listed = (count: number, table: Buffer) =>
		withFields(replaced(qcow2, at, table), {snapshotCount: count, snapshotsOffset: at});
	const entry = ({l1Size = 0, extraBytes = 0, idBytes = 0, nameBytes = 0}) => {
		const head = Buffer.alloc(40);
		head.writeUInt32BE(l1Size, 8);
		head.writeUInt16BE(idBytes, 12);
		head.writeUInt16BE(nameBytes, 14);
		head.writeUInt32BE(extraBytes, 36);
		return head;
	};
	const many = (count: number, fields: Parameters<typeof entry>[0]) =>
		Buffer.concat(Array.from({length: count}, () => entry(fields)));
	return [
		{name: 'two true ones', source: two, expect: 'imported'},
		{name: '65536 empty ones', source: listed(65_536, many(65_536, {}))},
		{name: '65537', source: listed(65_537, many(65_537, {}))},
		{name: '2^32', source: listed(2 ** 32 - 1, many(10, {}))},
		{name: 'extra data of 4 GiB', source: listed(1, entry({extraBytes: 2 ** 32 - 1}))},
		{name: 'extra data of 64 MiB', source: listed(1, entry({extraBytes: 2 ** 26}))},
		{name: '1024 names of 64 KiB, none there', source: listed(1024, many(1024, {idBytes: 65_535, nameBytes: 65_535}))},
		{name: 'an L1 of 32 GiB', source: listed(1, entry({l1Size: 2 ** 32 - 1}))},
		{name: 'a list beyond the end', source: withFields(qcow2, {snapshotCount: 5, snapshotsOffset: 2n ** 50n})},
		{name: 'a list in the header', source: withFields(qcow2, {snapshotCount: 5, snapshotsOffset: 0})},
	];
}

function compressed({compressed: base, qcow2}: BaseImages): readonly Made[] {
	const [l2] = l2Tables(base);
	if (!l2) throw new Error('the image has no data');
	const bits = 62 - (12 - 8);
	const descriptor = (at: number, sectors: number) => (2n ** 62n) | (BigInt(sectors) << BigInt(bits)) | BigInt(at);
	const every = (value: bigint) =>
		withEntries(base, l2, Object.fromEntries(Array.from({length: l2.count}, (_, index) => [index, value])));
	const end = Math.ceil(base.length / 4096) * 4096;
	// The number of sectors after the first one.
	const added = (stream: Buffer, sectors = Math.ceil(stream.length / 512) - 1) =>
		replaced(
			every(descriptor(end, Math.max(0, sectors))),
			end,
			Buffer.concat([stream, Buffer.alloc(512 - (stream.length % 512))]),
		);
	return [
		{name: 'no deflate stream', source: every(descriptor(0, 1)), expect: ['InvalidImage']},
		{name: 'beyond the end', source: every(descriptor(2 ** 40, 15)), expect: ['InvalidImage']},
		{
			name: 'at the end of the address space',
			source: every((2n ** 62n) | (2n ** BigInt(bits) - 1n)),
			expect: ['InvalidImage'],
		},
		{name: 'an empty stream', source: added(deflateRawSync(Buffer.alloc(0))), expect: ['InvalidImage']},
		{name: 'half a cluster', source: added(deflateRawSync(Buffer.alloc(2048, 7)))},
		{
			name: 'a cluster of one 4096th: all the same',
			source: added(deflateRawSync(Buffer.alloc(4096, 7))),
			expect: 'imported',
		},
		{name: 'a bomb: 64 MiB for one cluster', source: added(deflateRawSync(Buffer.alloc(2 ** 26)), 15)},
		{name: 'zstd that is none', source: withFields(base, {incompatible: 8, compressionType: 1})},
		{name: 'a compression nobody knows', source: withFields(base, {incompatible: 8, compressionType: 77})},
		{name: 'a type without its bit', source: withFields(base, {compressionType: 1})},
		{
			name: 'compressed in an image that has none',
			source: withEntries(qcow2, l2Tables(qcow2)[0] ?? l2, {0: descriptor(4096, 8)}),
		},
	];
}
