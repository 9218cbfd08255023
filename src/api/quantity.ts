/**
 * resource.Quantity <-> bytes. Only what a size can be: no milli-bytes beyond what rounds up to whole bytes,
 * as kube-apiserver rounds fractional storage requests up.
 */

const binary: Readonly<Record<string, bigint>> = {
	Ki: 1n << 10n,
	Mi: 1n << 20n,
	Gi: 1n << 30n,
	Ti: 1n << 40n,
	Pi: 1n << 50n,
	Ei: 1n << 60n,
};
const decimal: Readonly<Record<string, bigint>> = {
	'': 1n,
	k: 10n ** 3n,
	M: 10n ** 6n,
	G: 10n ** 9n,
	T: 10n ** 12n,
	P: 10n ** 15n,
	E: 10n ** 18n,
};

export const mebibyte: bigint = 1n << 20n;

/** Bytes, rounded up; undefined where the text is no quantity (`n`, `u` and `m` suffixes are accepted, being legal). */
export function parseQuantity(text: string): bigint | undefined {
	const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/.exec(text.trim());
	if (!match) return undefined;
	const [, sign, whole = '', fraction = '', suffix = '', exponent] = match;
	if (whole === '' && fraction === '') return undefined;
	let numerator = BigInt(`${whole}${fraction}`);
	let denominator = 10n ** BigInt(fraction.length);
	if (exponent !== undefined) {
		const power = Number(exponent);
		if (Math.abs(power) > 30) return undefined;
		if (power >= 0) numerator *= 10n ** BigInt(power);
		else denominator *= 10n ** BigInt(-power);
	} else if (suffix === 'm') denominator *= 10n ** 3n;
	else if (suffix === 'u') denominator *= 10n ** 6n;
	else if (suffix === 'n') denominator *= 10n ** 9n;
	else numerator *= binary[suffix] ?? decimal[suffix] ?? 1n;
	const rounded = (numerator + denominator - 1n) / denominator;
	return sign === '-' ? -rounded : rounded;
}

/** The shortest exact form: a binary suffix where it divides, else plain bytes. */
export function formatQuantity(bytes: bigint): string {
	for (const suffix of ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki']) {
		const unit = binary[suffix] as bigint;
		if (bytes !== 0n && bytes % unit === 0n) return `${bytes / unit}${suffix}`;
	}
	return bytes.toString();
}

/** Same amount, however written ("1Gi" and "1024Mi"). */
export function sameQuantity(a: string | undefined, b: string | undefined): boolean {
	if (a === undefined || b === undefined) return a === b;
	return parseQuantity(a) === parseQuantity(b);
}

export function largest(a: bigint, b: bigint): bigint {
	return a > b ? a : b;
}

export function roundUp(bytes: bigint, unit: bigint): bigint {
	return ((bytes + unit - 1n) / unit) * unit;
}

export function roundDown(bytes: bigint, unit: bigint): bigint {
	return (bytes / unit) * unit;
}

/** A share of 0 to 1 with three digits, as CDIConfig.filesystemOverhead has it, in exact arithmetic. */
function perMille(overhead: number): bigint {
	return BigInt(Math.round(overhead * 1000));
}

/**
 * Size of a Filesystem claim whose usable part holds `bytes`: CDI's rule, ceil(round-up(bytes, 1 MiB) x (1 + overhead)).
 */
export function inflateForFilesystem(bytes: bigint, overhead: number): bigint {
	const scaled = roundUp(bytes, mebibyte) * (1000n + perMille(overhead));
	return (scaled + 999n) / 1000n;
}

/** What a disk image on a Filesystem claim of `bytes` may take: CDI's rule, round-down(bytes / (1 + overhead), 1 MiB). */
export function usableOnFilesystem(bytes: bigint, overhead: number): bigint {
	return roundDown((bytes * 1000n) / (1000n + perMille(overhead)), mebibyte);
}
