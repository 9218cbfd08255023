/** Major, minor, patch. A pre-release or build suffix is not kept: tools are compared by release here. */
export type Version = readonly [major: number, minor: number, patch: number];

/** The first version number in a text: `go version go1.26.8 linux/amd64`, `Kubernetes v1.34.4`, `etcd Version: 3.6.16`. */
export function parseVersion(text: string): Version | undefined {
	const match = /(?<![\d.])(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
	if (!match) return undefined;
	return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

/** Negative when `a` is older than `b`, 0 when they are the same release. */
export function compareVersions(a: Version, b: Version): number {
	return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** Same major and minor, and at least the wanted patch: what a binary found on PATH must be to stand in for ours. */
export function fitsVersion(found: Version, wanted: Version): boolean {
	return found[0] === wanted[0] && found[1] === wanted[1] && found[2] >= wanted[2];
}
