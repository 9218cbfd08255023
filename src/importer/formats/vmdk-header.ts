/**
 * What must be known of a vmdk before qemu-img may open it: whatever would make it open another file. A vmdk is a disk
 * ("hosted sparse extent", KDMV, with its descriptor inside), a part of one, or a text that names the parts.
 * Format: "Virtual Disk Format 5.0" by VMware; what qemu makes of it: block/vmdk.c.
 */
import type {ImageHeader} from './image-header.ts';
import {damagedImage} from './damaged-image.ts';
import {WorkerError} from '../worker-error.ts';

export const vmdkMagic = Buffer.from('KDMV');
export const vmdkEsxMagic = Buffer.from('COWD');
export const vmdkDescriptorMagic = Buffer.from('# Disk DescriptorFile');

const sectorBytes = 512;
const shortestHeader = 79;
/** qemu looks for the descriptor here, whatever the header says. */
const descriptor = {start: 0x200, end: 0x200 + 20 * sectorBytes};
/** Value of the grain directory's place where only the footer has it. */
const directoryAtEnd = 0xffff_ffff_ffff_ffffn;
/** Markers around the footer included. */
const footerBytes = 3 * sectorBytes;
/** Of parentCID. */
const noParent = 'ffffffff';
/** qemu looks for a text first, whatever the magic says. */
const firstReadBytes = 1024 * 1024;
const largestGrainSectors = 0x20_0000n;
const compressedFlag = 1 << 16;

export function checkVmdkHeader(head: Buffer, shown: string): ImageHeader {
	const damaged = damagedImage('vmdk', shown);
	if (head.length < shortestHeader) throw damaged(`has only ${head.length} bytes`);
	const capacity = head.readBigUInt64LE(12);
	const text = head.subarray(descriptor.start, descriptor.end).toString('latin1');
	// With a capacity of 0 qemu opens the files that the descriptor names. Without a descriptor it is an extent of a split disk.
	if (capacity === 0n || head.readBigUInt64LE(28) === 0n) throw partOfVmdk(shown);
	const parent = /^\s*parentCID\s*=\s*(\w+)/im.exec(text)?.[1] ?? noParent;
	if (text.includes('parentFileNameHint') || parent.toLowerCase() !== noParent) throw needsParent(shown);
	if (/^\s*encryption\./m.test(text)) {
		throw new WorkerError(
			'ImageEncrypted',
			`${shown} is an encrypted vmdk image. Decrypt it with the program that made it before it is imported.`,
		);
	}
	const virtualBytes = capacity * BigInt(sectorBytes);
	if (virtualBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`says the disk has ${virtualBytes} bytes`);
	const grainSectors = head.readBigUInt64LE(20);
	if (grainSectors === 0n || grainSectors > largestGrainSectors)
		throw damaged(`says grains have ${grainSectors} sectors`);
	const isCompressed = (head.readUInt32LE(8) & compressedFlag) !== 0;
	return {
		virtualBytes: Number(virtualBytes),
		serving: {
			firstReadBytes,
			// How long a compressed grain is, qemu only knows when it has it.
			...(isCompressed && {openReadBytes: Number(grainSectors) * sectorBytes * 2}),
			...(head.readBigUInt64LE(56) === directoryAtEnd && {footerBytes}),
		},
	};
}

/** A text that names the files of a disk, or an extent that says nothing of what it belongs to. */
export function partOfVmdk(shown: string): WorkerError {
	return new WorkerError(
		'ImageNotStandalone',
		`${shown} is one file of a vmdk disk that consists of several (a descriptor, or an extent), and other files are never opened. Make it whole with: qemu-img convert -O qcow2 DESCRIPTOR.vmdk WHOLE.qcow2`,
	);
}

function needsParent(shown: string): WorkerError {
	return new WorkerError(
		'ImageNotStandalone',
		`${shown} is a vmdk image that needs a parent, which is not part of it and is never opened. Consolidate the snapshots, or make it whole with: qemu-img convert -O qcow2 IMAGE WHOLE.qcow2`,
	);
}
