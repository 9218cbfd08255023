/** `spec.source` parsed into one of what can be done, or why it cannot. Pure: shape only, nothing is looked up. */
import type {DataVolume, HttpSource, ObjectSource} from './datavolume.ts';

export type Source =
	| {readonly kind: 'http'; readonly http: HttpSource}
	| {readonly kind: 'blank'}
	| {readonly kind: 'pvc'; readonly pvc: ObjectSource}
	| {readonly kind: 'snapshot'; readonly snapshot: ObjectSource}
	/** `dataSource`/`dataSourceRef` of the user's own: Kubernetes fills the claim, we watch it bind. */
	| {readonly kind: 'external'};

/** Another object says what the source is: `spec.sourceRef`, with its namespace filled in. */
export interface SourceReference {
	readonly kind: 'reference';
	readonly namespace: string;
	readonly name: string;
}

export interface SourceRefusal {
	readonly reason: 'NotSupported' | 'Invalid';
	readonly message: string;
}

const known = ['http', 'blank', 'pvc', 'snapshot', 's3', 'gcs', 'registry', 'imageio', 'vddk', 'upload'] as const;

const checksumDigits: Readonly<Record<string, number>> = {md5: 32, sha1: 40, sha256: 64, sha512: 128};

/** Undefined where the text is `algorithm:hex` with the digits that the algorithm has. */
export function checksumViolation(checksum: string): string | undefined {
	const [algorithm = '', hex = ''] = checksum.split(':', 2);
	const digits = checksumDigits[algorithm];
	if (digits === undefined) {
		return `Invalid checksum format: "${checksum}" must be algorithm:hex with md5, sha1, sha256 or sha512`;
	}
	if (hex.length !== digits || !/^[0-9a-fA-F]*$/.test(hex) || checksum !== `${algorithm}:${hex}`) {
		return `Invalid checksum format: ${algorithm} wants ${digits} hexadecimal digits after the colon`;
	}
	return undefined;
}

function urlViolation(url: string): string | undefined {
	if (url === '') return 'spec.source source URL is empty';
	let parsed: URL;
	try {
		parsed = new URL(url);
	} catch {
		return 'Invalid source URL: spec.source.http.url is not a URL';
	}
	if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
		return `Invalid source URL scheme: ${parsed.protocol.slice(0, -1)}; http and https are possible`;
	}
	return undefined;
}

function parseReference({metadata, spec: {source, sourceRef}}: DataVolume): SourceReference | SourceRefusal {
	const {kind = '', namespace, name = ''} = sourceRef ?? {};
	if (source) return {reason: 'Invalid', message: 'Multiple Data volume sources: source and sourceRef'};
	if (kind !== 'DataSource') {
		return {reason: 'Invalid', message: `Unsupported sourceRef kind ${kind}, currently only DataSource is supported`};
	}
	if (name === '') return {reason: 'Invalid', message: 'Missing sourceRef name'};
	return {kind: 'reference', namespace: namespace || (metadata.namespace ?? ''), name};
}

export function parseSource(dataVolume: DataVolume): Source | SourceReference | SourceRefusal {
	const {source, sourceRef, pvc, storage, checkpoints, finalCheckpoint} = dataVolume.spec;
	if (checkpoints?.length || finalCheckpoint !== undefined) {
		return {reason: 'NotSupported', message: 'spec.checkpoints and spec.finalCheckpoint are not supported yet'};
	}
	if (sourceRef) return parseReference(dataVolume);
	if (!source) {
		const external = pvc ?? storage;
		if (external?.dataSource ?? external?.dataSourceRef) return {kind: 'external'};
		return {
			reason: 'Invalid',
			message: 'Data volume should have either Source or SourceRef, or be externally populated',
		};
	}
	const set = known.filter((kind) => source[kind] !== undefined);
	const [first] = set;
	if (!first) return {reason: 'Invalid', message: 'Missing Data volume source'};
	if (set.length > 1) return {reason: 'Invalid', message: `Multiple Data volume sources: ${set.join(', ')}`};
	if (source.http) {
		const violation =
			urlViolation(source.http.url) ?? (source.http.checksum && checksumViolation(source.http.checksum));
		return violation ? {reason: 'Invalid', message: violation} : {kind: 'http', http: source.http};
	}
	if (source.blank) return {kind: 'blank'};
	if (source.pvc) return {kind: 'pvc', pvc: source.pvc};
	if (source.snapshot) return {kind: 'snapshot', snapshot: source.snapshot};
	return {reason: 'NotSupported', message: `spec.source.${first} is not supported yet`};
}

export function isRefusal(source: Source | SourceReference | SourceRefusal): source is SourceRefusal {
	return 'reason' in source;
}
