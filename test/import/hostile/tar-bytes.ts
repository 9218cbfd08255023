/** Archives as no program would make them. Format: POSIX.1-2001, pax, "ustar". */
export interface Entry {
	readonly name: string;
	/** As in the header: 0 file, 1 link, 2 symbolic link, 3 and 4 devices, 5 folder, 6 fifo, x pax, L long name. */
	readonly type: '0' | '1' | '2' | '3' | '4' | '5' | '6' | 'x' | 'L';
	readonly content?: Buffer;
	readonly link?: string;
	/** Default 0644. */
	readonly mode?: number;
	/** What the header says; by default the truth. */
	readonly size?: bigint;
	readonly device?: readonly [major: number, minor: number];
}

const block = 512;

/** With the two empty blocks of its end. */
export function tar(entries: readonly Entry[]): Buffer {
	return Buffer.concat([...entries.flatMap((entry) => entryBytes(entry)), Buffer.alloc(2 * block)]);
}

function entryBytes(entry: Entry): readonly Buffer[] {
	const {content = Buffer.alloc(0)} = entry;
	return [header(entry, content.length), content, Buffer.alloc((block - (content.length % block)) % block)];
}

function header({name, type, link = '', mode = 0o644, size, device}: Entry, contentBytes: number): Buffer {
	const bytes = Buffer.alloc(block);
	const octal = (at: number, length: number, value: number) =>
		bytes.write(value.toString(8).padStart(length - 1, '0'), at);
	bytes.write(name, 0, 100);
	octal(100, 8, mode);
	octal(108, 8, 107);
	octal(116, 8, 107);
	writeSize(bytes, size ?? BigInt(contentBytes));
	octal(136, 12, 1_700_000_000);
	bytes.write(type, 156);
	bytes.write(link, 157, 100);
	bytes.write('ustar\x0000', 257, 'latin1');
	if (device) {
		octal(329, 8, device[0]);
		octal(337, 8, device[1]);
	}
	bytes.write(' '.repeat(8), 148);
	const sum = bytes.reduce((total, byte) => total + byte, 0);
	bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return bytes;
}

/** In base 256 where octal digits do not suffice, as GNU has it. */
function writeSize(bytes: Buffer, size: bigint): void {
	if (size >= 0n && size < 8n ** 11n) {
		bytes.write(size.toString(8).padStart(11, '0'), 124);
		return;
	}
	bytes.fill(size < 0n ? 0xff : 0, 124, 136);
	bytes.writeBigInt64BE(size, 128);
	bytes.writeUInt8(size < 0n ? 0xff : 0x80, 124);
}
