/**
 * Virtual PC's disk format (vhd, in qemu "vpc"). The same 512 bytes are the last of every such file; a dynamic or a
 * differencing one has a copy at its beginning, a fixed one is a raw disk with nothing else.
 * Format: "Virtual Hard Disk Image Format Specification".
 */
import {damagedImage} from './damaged-image.ts';
import type {ImageHeader} from './image-header.ts';
import {WorkerError} from '../worker-error.ts';

export const vhdMagic = Buffer.from('conectix');
export const vhdFooterBytes = 512;

const diskType = {fixed: 2, dynamic: 3, differencing: 4} as const;
const checksumAt = 64;

/** A copy at the beginning: the disk is dynamic, or it is refused. */
export function checkVhdHeader(head: Buffer, shown: string): ImageHeader {
	const footer = head.subarray(0, vhdFooterBytes);
	if (!isVhdFooter(footer)) {
		throw damagedImage('vhd', shown)('the checksum of its header is wrong');
	}
	const type = footer.readUInt32BE(60);
	if (type === diskType.differencing) {
		throw new WorkerError(
			'ImageNotStandalone',
			`${shown} is a differencing vhd image, which needs a parent that is never opened. Merge it into its parent (Hyper-V: Merge-VHD) and import that.`,
		);
	}
	if (type !== diskType.dynamic) {
		throw new WorkerError('InvalidImage', `${shown} begins as a vhd image of the unknown type ${type}. It is damaged.`);
	}
	// It says two sizes, and which one counts depends on the program that made it: qemu-img knows.
	return {serving: {}};
}

/** Size of the disk, in bytes, where the last sector of a file makes a fixed vhd of it; undefined where it is a raw disk. */
export function fixedVhdBytes(
	lastSector: Buffer,
	{lengthBytes, shown}: {lengthBytes: number; shown: string},
): number | undefined {
	if (lengthBytes % vhdFooterBytes !== 0) return undefined;
	if (!isVhdFooter(lastSector) || lastSector.readUInt32BE(60) !== diskType.fixed) return undefined;
	const diskBytes = lengthBytes - vhdFooterBytes;
	const saidBytes = lastSector.readBigUInt64BE(48);
	if (saidBytes <= BigInt(diskBytes)) return diskBytes;
	throw new WorkerError(
		'InvalidImage',
		`${shown} is a damaged vhd image: its footer says that the disk has ${saidBytes} bytes, but there are ${diskBytes}. Upload it again, whole.`,
	);
}

function isVhdFooter(footer: Buffer): boolean {
	if (footer.length !== vhdFooterBytes || !footer.subarray(0, 8).equals(vhdMagic)) return false;
	let sum = 0;
	for (const [at, byte] of footer.entries()) if (at < checksumAt || at >= checksumAt + 4) sum += byte;
	return footer.readUInt32BE(checksumAt) === ~sum >>> 0;
}
