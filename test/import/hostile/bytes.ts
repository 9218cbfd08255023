/** A copy with these bytes at that place; longer than before where they reach beyond its end. */
export function replaced(image: Buffer, at: number, bytes: Buffer): Buffer {
	const changed = Buffer.alloc(Math.max(image.length, at + bytes.length));
	image.copy(changed);
	bytes.copy(changed, at);
	return changed;
}
