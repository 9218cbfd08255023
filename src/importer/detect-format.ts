/**
 * What the first bytes of a file are. By content, never by name or Content-Type.
 *
 * Anything may be a raw disk, and CDI takes everything as one. A web page is the one thing that people really import by
 * mistake (a login page, an error document, a listing), and they only find out when the machine does not boot.
 * So text is refused, and so is a file that ends in the middle of a sector and carries no sign of a disk.
 */
import {qcow2Magic} from './qcow2-header.ts';
import {WorkerError} from './worker-error.ts';

export type ImageFormat = 'raw' | 'qcow2';

/** Bytes of the source that detection wants to see. */
export const detectionBytes = 256 * 1024;

const unsupported: ReadonlyArray<{readonly name: string; readonly at: number; readonly magic: Buffer}> = [
	{name: 'vmdk', at: 0, magic: Buffer.from('KDMV')},
	{name: 'vmdk (ESX sparse)', at: 0, magic: Buffer.from('COWD')},
	{name: 'vmdk descriptor', at: 0, magic: Buffer.from('# Disk DescriptorFile')},
	{name: 'vdi', at: 0x40, magic: Buffer.from([0x7f, 0x10, 0xda, 0xbe])},
	{name: 'vhd', at: 0, magic: Buffer.from('conectix')},
	{name: 'vhdx', at: 0, magic: Buffer.from('vhdxfile')},
	{name: 'gzip', at: 0, magic: Buffer.from([0x1f, 0x8b, 0x08])},
	{name: 'xz', at: 0, magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])},
	{name: 'zstd', at: 0, magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd])},
	{name: 'bzip2', at: 0, magic: Buffer.from('BZh')},
	{name: 'zip', at: 0, magic: Buffer.from([0x50, 0x4b, 0x03, 0x04])},
	{name: 'tar', at: 257, magic: Buffer.from('ustar')},
	{name: 'qed', at: 0, magic: Buffer.from('QED\0')},
	{name: 'luks', at: 0, magic: Buffer.from([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe])},
];

/** Where file systems, partition tables and boot loaders leave their mark. */
const diskSigns: ReadonlyArray<{readonly at: number; readonly magic: Buffer}> = [
	{at: 510, magic: Buffer.from([0x55, 0xaa])},
	{at: 512, magic: Buffer.from('EFI PART')},
	{at: 4096, magic: Buffer.from('EFI PART')},
	{at: 512, magic: Buffer.from('LABELONE')},
	{at: 1080, magic: Buffer.from([0x53, 0xef])},
	{at: 0, magic: Buffer.from('XFSB')},
	{at: 0, magic: Buffer.from('hsqs')},
	{at: 32769, magic: Buffer.from('CD001')},
	{at: 65600, magic: Buffer.from('_BHRfS_M')},
];

export interface DetectionFacts {
	/** The first {@link detectionBytes}, fewer only where the file has fewer. */
	readonly head: Buffer;
	readonly lengthBytes: number | undefined;
	readonly contentType?: string | undefined;
	readonly shown: string;
}

export function detectFormat({head, lengthBytes, contentType, shown}: DetectionFacts): ImageFormat {
	const served = contentType === undefined ? '' : `, served as ${contentType}`;
	if (head.length === 0) throw new WorkerError('InvalidImage', `${shown} is empty: the server answered with 0 bytes.`);
	if (has(head, {at: 0, magic: qcow2Magic})) return 'qcow2';
	const known = unsupported.find((format) => has(head, format));
	if (known) {
		throw new WorkerError(
			'FormatNotSupported',
			`${shown} is in ${known.name} format, which this version does not read yet. Unpack or convert it to qcow2 or raw and import that.`,
		);
	}
	if (isText(head.subarray(0, 1024))) {
		throw new WorkerError(
			'InvalidImage',
			`${shown} is no disk image but text${served}, beginning with ${JSON.stringify(firstWords(head))}. The URL may lead to a web page, a login or an error document instead of the image.`,
		);
	}
	const whole = lengthBytes === undefined || lengthBytes % 512 === 0;
	if (!whole && !diskSigns.some((sign) => has(head, sign))) {
		throw new WorkerError(
			'InvalidImage',
			`${shown} is no disk image: its ${lengthBytes} bytes${served} are no whole number of 512-byte sectors, and no boot sector, partition table or file system was found in it.`,
		);
	}
	return 'raw';
}

function has(head: Buffer, {at, magic}: {at: number; magic: Buffer}): boolean {
	return head.subarray(at, at + magic.length).equals(magic);
}

/** UTF-8 without control characters but white space. Disks have zeros or machine code in their first sectors. */
function isText(bytes: Buffer): boolean {
	// The last character may be cut in two.
	const text = bytes.toString('utf8').replace(/\u{fffd}{1,3}$/u, '');
	// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
	return !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u{fffd}]/u.test(text);
}

function firstWords(head: Buffer): string {
	return head.subarray(0, 60).toString('utf8').replace(/\s+/g, ' ').trim();
}
