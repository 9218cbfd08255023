/**
 * The few header fields that must be known before qemu-img may open a qcow2: whatever would make it open another file, and
 * the size of the disk. A gate, not a parser: everything else is qemu-img's to judge.
 * Format: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
 */
import type {ImageHeader} from './image-header.ts';
import {damagedImage} from './damaged-image.ts';
import {WorkerError} from '../worker-error.ts';

interface Qcow2Header {
	readonly virtualBytes: number;
	readonly hasBackingFile: boolean;
	readonly hasDataFile: boolean;
	readonly isEncrypted: boolean;
}

export const qcow2Magic = Buffer.from('QFI\xfb', 'latin1');
const shortestHeader = 72;
const dataFileBit = 0b100n;

function parseQcow2Header(head: Buffer, shown: string): Qcow2Header {
	const damaged = damagedImage('qcow2', shown);
	if (head.length < shortestHeader) throw damaged(`has only ${head.length} bytes`);
	const version = head.readUInt32BE(4);
	if (version !== 2 && version !== 3) {
		throw new WorkerError(
			'FormatNotSupported',
			`${shown} is a qcow image of version ${version}. Convert it to qcow2 or raw.`,
		);
	}
	const clusterBits = head.readUInt32BE(20);
	if (clusterBits < 9 || clusterBits > 21) throw damaged(`says clusters have 2^${clusterBits} bytes`);
	const virtualBytes = head.readBigUInt64BE(24);
	if (virtualBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`says the disk has ${virtualBytes} bytes`);
	const incompatible = version === 3 && head.length >= 80 ? head.readBigUInt64BE(72) : 0n;
	return {
		virtualBytes: Number(virtualBytes),
		hasBackingFile: head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0,
		hasDataFile: (incompatible & dataFileBit) !== 0n,
		isEncrypted: head.readUInt32BE(32) !== 0,
	};
}

/** Refuses what onesnap never opens. */
export function checkQcow2Header(head: Buffer, shown: string): ImageHeader {
	const {hasBackingFile, hasDataFile, isEncrypted, virtualBytes} = parseQcow2Header(head, shown);
	if (hasBackingFile || hasDataFile) {
		throw new WorkerError(
			'ImageNotStandalone',
			`${shown} is a qcow2 image that needs ${hasBackingFile ? 'a backing file' : 'an external data file'}, which is not part of it and is never opened. Make it whole with: qemu-img convert -O qcow2 IMAGE WHOLE.qcow2`,
		);
	}
	if (isEncrypted) {
		throw new WorkerError(
			'ImageEncrypted',
			`${shown} is an encrypted qcow2 image. Decrypt it with qemu-img convert before it is imported.`,
		);
	}
	if (virtualBytes === 0) throw new WorkerError('InvalidImage', `${shown} is a qcow2 image of a disk with 0 bytes.`);
	return {virtualBytes, serving: {}};
}
