import {createHash} from 'node:crypto';
import {access, copyFile, link, mkdir, readFile, rename, rm} from 'node:fs/promises';
import path from 'node:path';

/** Twelve hex digits over named parts; a change of name, order or content gives another key. */
export function contentKey(parts: Iterable<readonly [name: string, content: string | Buffer]>): string {
	const hash = createHash('sha256');
	for (const [name, content] of parts) {
		// Lengths in between, so that text cannot move from one part to the next unseen.
		hash.update(`${name.length}:${name}${Buffer.byteLength(content)}:`).update(content);
	}
	return hash.digest('hex').slice(0, 12);
}

/** Files of the project as parts of a key, by their paths relative to it. */
export async function filesAsParts(project: string, files: readonly string[]): Promise<Array<[string, Buffer]>> {
	const sorted = files.toSorted();
	return Promise.all(
		sorted.map(async (file): Promise<[string, Buffer]> => [file, await readFile(path.join(project, file))]),
	);
}

export async function isMissing(file: string): Promise<boolean> {
	return access(file).then(
		() => false,
		() => true,
	);
}

/** Gives a cached file a second name without a second copy, where the file systems allow. Replaces what is there. */
export async function linkOrCopy(source: string, target: string): Promise<void> {
	await mkdir(path.dirname(target), {recursive: true});
	const temporary = `${target}.${process.pid}`;
	await rm(temporary, {force: true});
	await link(source, temporary).catch(() => copyFile(source, temporary));
	await rename(temporary, target);
	// rename() does nothing when both names already are the same file.
	await rm(temporary, {force: true});
}
