/**
 * Resource versions are decimal numbers of any length; for objects of one etcd they are revisions of the whole store, so
 * they compare across kinds too (KEP-5504, guaranteed since Kubernetes 1.35, true long before).
 */
export function compareResourceVersions(a: string, b: string): number {
	if (a.length !== b.length) return a.length - b.length;
	return a < b ? -1 : a > b ? 1 : 0;
}
