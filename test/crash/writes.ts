/**
 * What a write to the API server was, in the words of the design: so that a crash can be put right after "the volume was
 * moved", whatever its number. Pure.
 */

export interface ApiWrite {
	readonly method: string;
	/** As sent, with its query. */
	readonly path: string;
	/** Parsed; undefined where there was none. */
	readonly body?: unknown;
}

interface Address {
	readonly plural: string;
	readonly subresource: string | undefined;
}

interface Written {
	readonly metadata?: {
		readonly name?: string;
		readonly annotations?: Readonly<Record<string, string>>;
		readonly finalizers?: readonly string[];
	};
	readonly spec?: {
		readonly closed?: boolean;
		readonly claimRef?: object;
		readonly deletionPolicy?: string;
		readonly dataSource?: {readonly kind?: string};
		readonly source?: {readonly volumeSnapshotContentName?: string};
	};
}

/** `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE`, less what is not there. */
function addressOf(path: string): Address {
	const [, root, ...parts] = (path.split('?', 1)[0] ?? '').split('/');
	const rest = parts.slice(root === 'api' ? 1 : 2);
	const [plural = '', , subresource] = rest[0] === 'namespaces' && rest.length > 2 ? rest.slice(2) : rest;
	return {plural, subresource};
}

function claimCreated({metadata: {name = ''} = {}, spec}: Written): string {
	if (/^(prime|tmp-pvc)-/.test(name)) return 'prime claim created';
	if (name.startsWith('tmp-source-pvc-')) return 'copy source created';
	return spec?.dataSource?.kind === 'VolumeSnapshot' ? 'restored claim created' : 'claim created';
}

function created(plural: string, object: Written): string {
	switch (plural) {
		case 'sharedsnapshots':
			return 'SharedSnapshot created';
		case 'volumesnapshots':
			return object.spec?.source?.volumeSnapshotContentName ? 'alias snapshot created' : 'VolumeSnapshot created';
		case 'volumesnapshotcontents':
			return 'alias content created';
		case 'persistentvolumeclaims':
			return claimCreated(object);
		case 'pods':
			return 'worker Pod created';
		default:
			return `${plural} created`;
	}
}

function patched(plural: string, {metadata, spec}: Written): string {
	if (plural === 'persistentvolumes' && spec?.claimRef) return 'volume moved';
	if (plural === 'sharedsnapshots' && spec?.closed === true) return 'SharedSnapshot closed';
	if (plural === 'volumesnapshotcontents' && spec?.deletionPolicy) {
		return spec.deletionPolicy === 'Retain' ? 'content protected' : 'content unprotected';
	}
	if (metadata?.finalizers) return `finalizer of ${plural} removed`;
	if (plural === 'datavolumes' && metadata?.annotations?.['onesnap.io/shared-snapshot']) return 'request assigned';
	if (plural === 'persistentvolumeclaims' && metadata?.annotations?.['onesnap.io/populated']) {
		return 'population recorded';
	}
	return `${plural} patched`;
}

/** Undefined for what is not counted: reading, Leases, Events. */
export function describeWrite({method, path, body}: ApiWrite): string | undefined {
	const {plural, subresource} = addressOf(path);
	if (method === 'GET' || plural === 'leases' || plural === 'events') return undefined;
	if (subresource) return `${subresource} of ${plural}`;
	const object: Written = body ?? {};
	switch (method) {
		case 'POST':
			return created(plural, object);
		case 'DELETE':
			return `${plural} deleted`;
		default:
			return patched(plural, object);
	}
}
