/** Where the entries of an archive may lie, and what its links may lead to. Pure. */

/**
 * The names on the way to an entry, from the folder that is unpacked to; empty for that folder itself. As tar does, a leading
 * `/` is taken off. Undefined where the path leads up: nobody packs that by mistake.
 */
export function entryPath(path: string): readonly string[] | undefined {
	const names = path.split('/').filter((name) => name !== '' && name !== '.');
	return names.includes('..') || path.includes('\0') ? undefined : names;
}

/**
 * Whether a symbolic link at `names` leads to something in the archive, whatever its other links are.
 *
 * Only leading `..` are taken, no more than the link lies deep: nothing is unpacked through a link, so that many real folders
 * are above it. What follows them goes down, through links for which the same holds. A disk image that is a link to a file of
 * whoever opens it is how guests got at files of their hosts, so absolute links are none.
 */
export function leadsInside(names: readonly string[], target: string): boolean {
	if (target.startsWith('/') || target.includes('\0')) return false;
	const steps = target.split('/').filter((name) => name !== '' && name !== '.');
	const down = steps.findIndex((name) => name !== '..');
	const up = down === -1 ? steps.length : down;
	return up < names.length && !steps.slice(up).includes('..');
}
