/** What the gates in front of qemu-img say of an image: types only. */

/** Formats that say where the bytes of the disk are, named as qemu's drivers are. */
export type ContainerFormat = 'qcow2' | 'vmdk' | 'vdi' | 'vpc' | 'vhdx';

/** What a format asks of the server that qemu reads it from. */
export interface Serving {
	/** A read of just this length means "up to": it may go beyond the end of the file, though not begin there. Default: none. */
	readonly openReadBytes?: number;
	/** Of the beginning qemu reads so much at once, however short the file is. Default 0. */
	readonly firstReadBytes?: number;
	/** Bytes at the end of the file that qemu looks for at the end of what it is served. Default 0. */
	readonly footerBytes?: number;
}

export interface ImageHeader {
	/** Size of the disk as far as the header tells; what counts is qemu-img's word. */
	readonly virtualBytes?: number;
	readonly serving: Serving;
}

/** What there is of a range: fewer bytes, or none, at the end of the file. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;
