/**
 * The gate in front of qemu-img: what the first bytes of a container say, as far as safety needs it. Each format has a module
 * of its own; none is a parser, everything else is qemu-img's to judge.
 */
import type {ContainerFormat, ImageHeader, ReadAt} from './image-header.ts';
import {checkQcow2Header} from './qcow2-header.ts';
import {checkVdiHeader} from './vdi-header.ts';
import {checkVhdHeader} from './vhd-footer.ts';
import {checkVhdxMetadata} from './vhdx-metadata.ts';
import {checkVmdkHeader} from './vmdk-header.ts';

/** Refuses what would make qemu-img open another file, and what it cannot read. */
export function checkHeader(format: ContainerFormat, head: Buffer, shown: string): ImageHeader {
	switch (format) {
		case 'qcow2':
			return checkQcow2Header(head, shown);
		case 'vmdk':
			return checkVmdkHeader(head, shown);
		case 'vdi':
			return checkVdiHeader(head, shown);
		case 'vpc':
			return checkVhdHeader(head, shown);
		case 'vhdx':
			// It says next to nothing.
			return {serving: {}};
	}
	return format satisfies never;
}

/** What {@link checkHeader} could not see. */
export async function checkBeyondHeader(format: ContainerFormat, read: ReadAt, shown: string): Promise<void> {
	if (format === 'vhdx') await checkVhdxMetadata(read, shown);
}
