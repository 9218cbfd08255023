/**
 * How images are named to qemu's programs: always by explicit driver options. No protocol in a file name is followed, no
 * format is guessed.
 */
import type {ContainerFormat} from '../formats/image-header.ts';

/** An image as qemu's block layer opens it. */
export type ImageNode =
	/** Over a socket that the program is started with. */
	| {readonly driver: 'nbd'; readonly descriptor: number}
	| DiskNode
	| {readonly driver: ContainerFormat | 'raw'; readonly file: ImageNode};

/** What an image lies on: a file or a device of ours. */
export interface DiskNode {
	readonly driver: 'file' | 'host_device';
	readonly path: string;
	/** Writes are handed to the kernel instead of to threads; for direct I/O only. */
	readonly nativeAio?: boolean;
}

/** The value of --image-opts and --target-image-opts. */
export function imageOptions(node: ImageNode): string {
	return Object.entries(flatten(node))
		.map(([key, value]) => `${key}=${value.replaceAll(',', ',,')}`)
		.join(',');
}

function flatten(node: ImageNode, prefix = ''): Record<string, string> {
	const driver = {[`${prefix}driver`]: node.driver};
	switch (node.driver) {
		case 'nbd':
			return {...driver, [`${prefix}server.type`]: 'fd', [`${prefix}server.str`]: String(node.descriptor)};
		case 'file':
		case 'host_device':
			// Kubernetes decides who may use a volume; locks on network file systems only get in the way.
			return {
				...driver,
				[`${prefix}filename`]: node.path,
				[`${prefix}locking`]: 'off',
				...(node.nativeAio && {[`${prefix}aio`]: 'native'}),
			};
		default:
			return {...driver, ...flatten(node.file, `${prefix}file.`)};
	}
}
