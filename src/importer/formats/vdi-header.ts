/** The gate in front of a VirtualBox disk image. Format: qemu's block/vdi.c and VirtualBox's VDICore.h. */
import type {ImageHeader} from './image-header.ts';
import {damagedImage} from './damaged-image.ts';
import {WorkerError} from '../worker-error.ts';

export const vdiMagic = {at: 0x40, magic: Buffer.from([0x7f, 0x10, 0xda, 0xbe])};

const headerBytes = 0x200;
const imageType = {undo: 3, differencing: 4} as const;

export function checkVdiHeader(head: Buffer, shown: string): ImageHeader {
	const damaged = damagedImage('vdi', shown);
	if (head.length < headerBytes) throw damaged(`has only ${head.length} bytes`);
	const type = head.readUInt32LE(0x4c);
	const isLinked = [0x1a8, 0x1b8].some((at) => head.subarray(at, at + 16).some((byte) => byte !== 0));
	if (type === imageType.undo || type === imageType.differencing || isLinked) {
		throw new WorkerError(
			'ImageNotStandalone',
			`${shown} is a vdi image that needs a parent, which is not part of it and is never opened. Make it whole with: VBoxManage clonemedium IMAGE WHOLE.vdi`,
		);
	}
	const virtualBytes = head.readBigUInt64LE(0x170);
	if (virtualBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(`says the disk has ${virtualBytes} bytes`);
	return {virtualBytes: Number(virtualBytes), serving: {}};
}
