/**
 * How images are named to qemu's programs: always by explicit driver options. No protocol in a file name is followed, no
 * format is guessed.
 */
import type {ContainerFormat} from './image-header.ts';

/** An image as qemu's block layer opens it. */
export type ImageNode =
	/** Over a socket that the program is started with. */
	| {readonly driver: 'nbd'; readonly descriptor: number}
	| {readonly driver: 'file' | 'host_device'; readonly path: string}
	| {readonly driver: ContainerFormat | 'raw'; readonly file: ImageNode};

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
			return {...driver, [`${prefix}filename`]: node.path, [`${prefix}locking`]: 'off'};
		default:
			return {...driver, ...flatten(node.file, `${prefix}file.`)};
	}
}
