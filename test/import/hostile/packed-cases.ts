/** Hand-made: compressed sources, and archives. */
import type {RequestListener, ServerResponse} from 'node:http';
import {constants, gzipSync, zstdCompressSync} from 'node:zlib';
import {type BaseImages, bombBytes} from './base-images.ts';
import {type Canaries, type HostileCase, hostileClaimBytes} from './case.ts';
import {withExtensions} from './qcow2-bytes.ts';
import {type Entry, tar} from './tar-bytes.ts';

type Made = Pick<HostileCase, 'name' | 'source'> & Partial<HostileCase>;
const MiB = 1024 * 1024;

export function packedCases(images: BaseImages, canaries: Canaries): readonly HostileCase[] {
	return [
		...compressed(images, canaries).map((each) => ({group: 'packed', ...each})),
		...archives(images, canaries).map((each) => ({group: 'archive', contentType: 'archive' as const, ...each})),
	];
}

function compressed({raw, qcow2, vdi, xzBomb}: BaseImages, {file}: Canaries): readonly Made[] {
	const tooLarge = {expect: ['ImageTooLarge'] as const};
	const zeros = Buffer.alloc(bombBytes);
	const gzBomb = gzipSync(zeros, {level: 9});
	const zstBomb = zstdCompressSync(zeros);
	const backed = withExtensions(qcow2, [], file);
	const bombInside = gzipSync(Buffer.concat([qcow2, zeros]), {level: 1});
	const emptyMember = gzipSync(Buffer.alloc(0));
	const emptyFrame = zstdCompressSync(Buffer.alloc(0));
	const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
	const wideWindow = zstdCompressSync(raw, {
		params: {[constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_enableLongDistanceMatching]: 1},
	});
	const nameless = Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]);
	return [
		{name: 'gz, 128 MiB of zeros', source: gzBomb, ...tooLarge},
		{name: 'zst, 128 MiB of zeros', source: zstBomb, ...tooLarge},
		{name: 'xz, 128 MiB of zeros', source: xzBomb, ...tooLarge},
		{name: 'gz, a qcow2 and 128 MiB of zeros', source: bombInside, ...tooLarge},
		{name: 'gz in gz', source: gzipSync(gzipSync(raw)), expect: ['FormatNotSupported', 'InvalidImage']},
		{name: 'gz, bombs in bombs', source: gzipSync(gzBomb), expect: ['FormatNotSupported', 'InvalidImage']},
		{name: 'gz of a qcow2 with a backing file', source: gzipSync(backed), expect: ['ImageNotStandalone']},
		{name: 'zst of a qcow2 with a backing file', source: zstdCompressSync(backed), expect: ['ImageNotStandalone']},
		{name: 'gz of a vdi', source: gzipSync(vdi), inside: vdi, format: 'vdi', expect: 'imported'},
		{name: 'gz, half', source: gzipSync(raw).subarray(0, 100_000), expect: ['InvalidImage']},
		{name: 'zst, half', source: zstdCompressSync(raw).subarray(0, 100_000), expect: ['InvalidImage']},
		{
			name: 'gz, and then something else',
			source: Buffer.concat([gzipSync(raw), Buffer.alloc(5000, 'x')]),
			inside: raw,
			expect: 'either',
		},
		{name: 'gz with a wrong checksum', source: withLastBytes(gzipSync(raw)), expect: ['InvalidImage']},
		{
			name: 'gz in a hundred parts',
			source: Buffer.concat(parts(raw, 100).map((part) => gzipSync(part))),
			inside: raw,
			expect: 'imported',
		},
		{
			name: 'zst in a hundred parts',
			source: Buffer.concat(parts(raw, 100).map((part) => zstdCompressSync(part))),
			inside: raw,
			expect: 'imported',
		},
		{
			name: 'gz, 50,000 empty parts',
			source: Buffer.concat(Array.from({length: 50_000}, () => emptyMember)),
			expect: ['InvalidImage'],
		},
		{
			name: 'zst, 50,000 empty parts',
			source: Buffer.concat(Array.from({length: 50_000}, () => emptyFrame)),
			expect: ['InvalidImage'],
		},
		{
			name: 'zst, 50,000 skipped parts',
			source: Buffer.concat([emptyFrame, ...Array.from({length: 50_000}, () => skippable)]),
			expect: ['InvalidImage'],
		},
		{name: 'zst, a window of 128 MiB', source: wideWindow, inside: raw, expect: 'either'},
		{name: 'gz, a name without an end', source: endlessly(nameless, Buffer.alloc(MiB, 'x')), ...tooLarge},
		{
			name: 'gz, parts without an end',
			source: endlessly(gzipSync(raw), Buffer.concat(Array.from({length: 1000}, () => emptyMember))),
			expect: ['ImageTooLarge', 'InvalidImage'],
		},
		{name: 'xz, the magic alone', source: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), expect: ['InvalidImage']},
		{name: 'zst, the magic alone', source: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), expect: ['InvalidImage']},
		{name: 'gz of nothing', source: emptyMember, expect: ['InvalidImage']},
	];
}

function withLastBytes(bytes: Buffer): Buffer {
	return Buffer.concat([bytes.subarray(0, -8), Buffer.alloc(4, 7), bytes.subarray(-4)]);
}

function parts(bytes: Buffer, count: number): readonly Buffer[] {
	const size = Math.ceil(bytes.length / count);
	return Array.from({length: count}, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

/** As long as somebody reads. */
function endlessly(begin: Buffer, piece: Buffer): RequestListener {
	return (_, response) => pour(response.writeHead(200), begin, piece);
}

export function pour(response: ServerResponse, begin: Buffer, piece: Buffer): void {
	const more = () => {
		while (!response.destroyed && response.write(piece));
	};
	response.on('drain', more).on('error', () => {});
	response.write(begin);
	more();
}

function archives({raw}: BaseImages, {file, relative}: Canaries): readonly Made[] {
	const refused = {expect: ['InvalidImage'] as const};
	const tooLarge = {expect: ['ImageTooLarge'] as const};
	const text = Buffer.from('escaped\n');
	const named = (name: string): Entry => ({name, type: '0', content: text});
	const linked = (type: '1' | '2', name: string, link: string): Entry => ({name, type, link});
	const pax = (records: Record<string, string>): Entry => ({name: 'pax', type: 'x', content: paxRecords(records)});
	const deep = Array.from({length: 2000}, () => 'd').join('/');
	const many = (count: number, entry: (index: number) => Entry) =>
		tar(Array.from({length: count}, (_, index) => entry(index)));
	return [
		{name: 'a file and a folder', source: tar([{name: 'etc', type: '5'}, named('etc/file')]), expect: 'imported'},
		{name: '..', source: tar([named('../escaped')]), ...refused},
		{name: 'folders and many ..', source: tar([named('a/b/../../../../../../../../tmp/escaped')]), ...refused},
		{name: 'an absolute name', source: tar([named(file)])},
		{name: 'the name of a canary beside it', source: tar([named(`../working/${relative}`)]), ...refused},
		{name: 'a link to a canary', source: tar([linked('2', 'link', file)]), ...refused},
		{
			name: 'a link out of it, and a file through it',
			source: tar([linked('2', 'link', '..'), named('link/escaped')]),
			...refused,
		},
		{name: 'a link to itself', source: tar([linked('2', 'link', 'link'), named('link/escaped')]), expect: 'either'},
		{
			name: 'links that lead out together',
			source: tar([linked('2', 'a', '.'), linked('2', 'a/b', '..'), named('a/b/escaped')]),
			...refused,
		},
		{
			name: 'a link in place of a folder that was there',
			source: tar([{name: 'd', type: '5'}, linked('2', 'd', '/'), named('d/tmp/escaped')]),
			...refused,
		},
		{name: 'a hard link to a canary', source: tar([linked('1', 'hard', file)]), expect: 'either'},
		{name: 'a hard link to ..', source: tar([linked('1', 'hard', `../working/${relative}`)]), ...refused},
		{
			name: 'a hard link through a link',
			source: tar([linked('2', 'here', '.'), linked('1', 'hard', 'here/x')]),
			expect: 'either',
		},
		{name: 'disk.img is a link to a canary', source: tar([linked('2', 'disk.img', file)]), ...refused},
		{name: 'a block device', source: tar([{name: 'sda', type: '4', device: [8, 0]}]), ...refused},
		{name: 'a character device', source: tar([{name: 'mem', type: '3', device: [1, 1]}]), ...refused},
		{name: 'a fifo', source: tar([{name: 'fifo', type: '6'}]), ...refused},
		{
			name: 'setuid, setgid, sticky',
			source: tar([
				{...named('su'), mode: 0o7777},
				{name: 'd', type: '5', mode: 0o7777},
			]),
			expect: 'imported',
		},
		{
			name: 'the rights of nobody',
			source: tar([
				{name: 'd', type: '5', mode: 0},
				{...named('d/f'), mode: 0},
			]),
			expect: 'imported',
		},
		{name: 'a name by pax', source: tar([pax({path: '../../escaped'}), named('good')]), ...refused},
		{name: 'a link by pax', source: tar([pax({linkpath: file}), linked('2', 'link', 'good')]), ...refused},
		{
			name: 'a size by pax',
			source: tar([pax({size: '99999999999999'}), named('good')]),
			expect: ['ImageTooLarge', 'InvalidImage'],
		},
		{name: 'a negative size by pax', source: tar([pax({size: '-5'}), named('good')])},
		{
			name: 'a size of 8 EiB',
			source: tar([{...named('big'), size: 2n ** 63n - 1n}]),
			expect: ['ImageTooLarge', 'InvalidImage'],
		},
		{name: 'a negative size', source: tar([{...named('less'), size: -1n}]), expect: ['InvalidImage', 'ImageTooLarge']},
		{
			name: 'a long name of 1 GiB',
			source: tar([{name: '././@LongLink', type: 'L', size: 2n ** 30n, content: Buffer.alloc(4 * MiB, 'x')}]),
			expect: ['InvalidImage', 'ImageTooLarge'],
		},
		{name: 'a name with a zero, a newline and colours', source: tar([named('a\n\u001b[31mb')])},
		{name: 'an empty name', source: tar([named('')])},
		{name: 'a folder 2000 deep', source: tar([pax({path: `${deep}/file`}), named('x')])},
		{name: '100,000 empty files', source: many(100_000, (index) => ({name: `${index}`, type: '0'})), ...tooLarge},
		{name: '20,000 empty folders', source: many(20_000, (index) => ({name: `${index}`, type: '5'}))},
		{
			name: 'a file larger than the claim',
			source: tar([{name: 'big', type: '0', content: Buffer.alloc(hostileClaimBytes + 512)}]),
			...tooLarge,
		},
		{
			name: 'gz, a file of 128 MiB of zeros',
			source: gzipSync(tar([{name: 'big', type: '0', content: Buffer.alloc(bombBytes)}]), {level: 1}),
			...tooLarge,
		},
		{
			name: 'half',
			source: tar([{name: 'big', type: '0', content: Buffer.alloc(MiB, 7)}]).subarray(0, 500_000),
			...refused,
		},
		{name: 'nothing', source: Buffer.alloc(0), ...refused},
		{name: 'no archive', source: raw, ...refused},
		{name: 'no entry', source: Buffer.alloc(10_240), ...refused},
		{
			name: 'without an end',
			source: endlessly(
				tar([named('first')]).subarray(0, 1024),
				tar([{name: 'again', type: '0', content: Buffer.alloc(MiB)}]).subarray(0, 512 + MiB),
			),
			...tooLarge,
		},
		{
			name: 'gz, without an end',
			source: endlessly(gzipSync(tar([named('first')])), gzipSync(Buffer.alloc(MiB))),
			expect: ['ImageTooLarge', 'InvalidImage'],
		},
		{
			name: 'zeros without an end',
			source: endlessly(tar([named('first')]), Buffer.alloc(MiB)),
			expect: ['ImageTooLarge', 'InvalidImage'],
		},
	];
}

function paxRecords(records: Record<string, string>): Buffer {
	const lines = Object.entries(records).map(([key, value]) => {
		const rest = ` ${key}=${value}\n`;
		// The length counts its own digits.
		const length = [1, 2, 3, 4, 5]
			.map((digits) => rest.length + digits)
			.find((total, index) => String(total).length === index + 1);
		return `${length}${rest}`;
	});
	return Buffer.from(lines.join(''));
}
