/**
 * What the first bytes of a file are. By content, never by name or Content-Type.
 *
 * Anything may be a raw disk, and CDI takes everything as one. A web page is the one thing that people really import by
 * mistake (a login page, an error document, a listing), and they only find out when the machine does not boot.
 * So text is refused, and so is a file that ends in the middle of a sector and carries no sign of a disk.
 */
import {detectCompression} from '../compression/compression.ts';
import type {ContainerFormat} from './image-header.ts';
import {qcow2Magic} from './qcow2-header.ts';
import {vdiMagic} from './vdi-header.ts';
import {vhdMagic} from './vhd-footer.ts';
import {vhdxMagic} from './vhdx-metadata.ts';
import {partOfVmdk, vmdkDescriptorMagic, vmdkEsxMagic, vmdkMagic} from './vmdk-header.ts';
import {WorkerError} from '../worker-error.ts';

/** A fixed vhd is a raw disk until its last sector is seen. */
export type ImageFormat = 'raw' | 'fixed vhd' | ContainerFormat;

export function isContainer(format: ImageFormat): format is ContainerFormat {
	return format !== 'raw' && format !== 'fixed vhd';
}

/** Bytes of the source that detection wants to see. */
export const detectionBytes = 256 * 1024;

interface Sign {
	readonly at: number;
	readonly magic: Buffer;
}

const containers: ReadonlyArray<Sign & {readonly format: ContainerFormat}> = [
	{format: 'qcow2', at: 0, magic: qcow2Magic},
	{format: 'vmdk', at: 0, magic: vmdkMagic},
	{format: 'vdi', ...vdiMagic},
	{format: 'vpc', at: 0, magic: vhdMagic},
	{format: 'vhdx', at: 0, magic: vhdxMagic},
];

const unsupported: ReadonlyArray<Sign & {readonly name: string}> = [
	{name: 'bzip2', at: 0, magic: Buffer.from('BZh')},
	{name: 'zip', at: 0, magic: Buffer.from([0x50, 0x4b, 0x03, 0x04])},
	{name: 'tar', at: 257, magic: Buffer.from('ustar')},
	{name: 'qed', at: 0, magic: Buffer.from('QED\0')},
	{name: 'luks', at: 0, magic: Buffer.from([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe])},
];

/** Where file systems, partition tables and boot loaders leave their mark. */
const diskSigns: readonly Sign[] = [
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
	if (head.length === 0) throw new WorkerError('InvalidImage', `${shown} is empty: the server answered with 0 bytes.`);
	const container = containers.find((each) => has(head, each));
	if (container) return container.format;
	const compression = detectCompression(head);
	if (compression) {
		throw new WorkerError(
			'FormatNotSupported',
			`${shown} is compressed twice: ${compression} came out when it was unpacked. Unpack it once and import that.`,
		);
	}
	// Extents of ESX have their descriptor in another file, and most of them a parent.
	if ([vmdkDescriptorMagic, vmdkEsxMagic].some((magic) => has(head, {at: 0, magic}))) throw partOfVmdk(shown);
	const known = unsupported.find((format) => has(head, format));
	if (known) {
		const hint = known.name === 'tar' ? ' If its files are what is wanted, say so: spec.contentType archive.' : '';
		throw new WorkerError(
			'FormatNotSupported',
			`${shown} is in ${known.name} format, which onesnap does not read. Unpack or convert it to qcow2 or raw and import that.${hint}`,
		);
	}
	if (isText(head.subarray(0, 1024))) {
		throw new WorkerError(
			'InvalidImage',
			`${shown} is no disk image but text${servedAs(contentType)}, beginning with ${JSON.stringify(firstWords(head))}. The URL may lead to a web page, a login or an error document instead of the image.`,
		);
	}
	if (lengthBytes !== undefined) checkRawLength({head, lengthBytes, contentType, shown});
	return 'raw';
}

/** Raw disks end with a whole sector, or are seen to be disks. */
export function checkRawLength({
	head,
	lengthBytes,
	contentType,
	shown,
}: DetectionFacts & {readonly lengthBytes: number}): void {
	if (lengthBytes % 512 === 0 || diskSigns.some((sign) => has(head, sign))) return;
	throw new WorkerError(
		'InvalidImage',
		`${shown} is no disk image: its ${lengthBytes} bytes${servedAs(contentType)} are no whole number of 512-byte sectors, and no boot sector, partition table or file system was found in it.`,
	);
}

function servedAs(contentType: string | undefined): string {
	return contentType === undefined ? '' : `, served as ${contentType}`;
}

function has(head: Buffer, {at, magic}: Sign): boolean {
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
