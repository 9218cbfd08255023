/**
 * Objects without what differs between two runs that ended alike: UIDs and what is named by them, versions, moments. Pure.
 */
import type {KubeObject} from '../../src/api/kubernetes.ts';

const uid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
/** Content hash and generation: a content is hashed with its UIDs, and a generation is free again when it is gone. */
const sharedSnapshotName = /\b[0-9a-f]{16}-\d+(?=$|\/)|^[0-9a-f]{16}$/g;
/** Which rule let a clone in depends on when it came, and on what its controller had watched: each is right. */
const reuseRule = /^(GroupCommit|WatchedQuiet|DeclaredImmutable)$/;

/** `creationTime` of a VolumeSnapshotContent is a number. */
const meaningless = new Set(['resourceVersion', 'creationTimestamp', 'managedFields', 'generation', 'creationTime']);
/** Sets that the API writes as lists. */
const unordered = new Set(['conditions', 'finalizers', 'ownerReferences']);

type Mask = (text: string) => string;

function masked(value: unknown, mask: Mask): unknown {
	if (typeof value === 'string') return mask(value);
	if (Array.isArray(value)) return value.map((item) => masked(item, mask));
	if (typeof value !== 'object' || value === null) return value;
	const entries = Object.entries(value).filter(([name]) => !meaningless.has(name));
	return Object.fromEntries(
		entries
			.map(([name, field]) => [mask(name), inOrder(name, masked(field, mask))] as const)
			.toSorted(([a], [b]) => (a < b ? -1 : 1)),
	);
}

function inOrder(name: string, value: unknown): unknown {
	if (!unordered.has(name) || !Array.isArray(value)) return value;
	return value
		.map((item) => ({item: item as unknown, text: JSON.stringify(item)}))
		.toSorted((a, b) => (a.text < b.text ? -1 : 1))
		.map(({item}) => item);
}

/** What an object is to a person: those with generated names by what they belong to. */
function identityOf({kind, metadata, spec}: KubeObject & {readonly spec?: Belonging}): string {
	const belongsTo = spec?.claimRef ?? spec?.volumeSnapshotRef;
	const {namespace = '', name} = belongsTo ?? metadata;
	const shown = name.replaceAll(uid, '*').replaceAll(sharedSnapshotName, '*');
	return `${kind}${belongsTo ? ' of' : ''} ${namespace}/${shown}`;
}

interface Belonging {
	readonly claimRef?: {readonly namespace: string; readonly name: string};
	readonly volumeSnapshotRef?: {readonly namespace: string; readonly name: string};
}

/** A line per leaf. */
function linesOf(value: unknown, where: string): string[] {
	if (typeof value !== 'object' || value === null) return [`${where} = ${JSON.stringify(value)}`];
	const entries = Object.entries(value);
	if (entries.length === 0) return [`${where} = ${JSON.stringify(value)}`];
	return entries.flatMap(([name, field]) => linesOf(field, `${where}.${name}`));
}

/** One line per field, sorted. A UID of an object in the list is told by that object, any other is of something gone. */
export function normalForm(objects: readonly KubeObject[]): readonly string[] {
	const known = new Map(objects.map((object) => [object.metadata.uid, `{UID of ${identityOf(object)}}`]));
	const mask: Mask = (text) => {
		if (time.test(text)) return '{time}';
		if (reuseRule.test(text)) return '{rule}';
		return text
			.replaceAll(sharedSnapshotName, '{shared}')
			.replaceAll(uid, (found) => known.get(found) ?? '{UID of something gone}');
	};
	return objects.flatMap((object) => linesOf(masked(object, mask), identityOf(object))).toSorted();
}

/** What is in one and not in the other, as lines of a diff. */
export function differences(expected: readonly string[], actual: readonly string[]): readonly string[] {
	const less = (from: readonly string[], what: readonly string[]) => {
		const counts = new Map<string, number>();
		for (const line of what) counts.set(line, (counts.get(line) ?? 0) + 1);
		return from.filter((line) => {
			const count = counts.get(line) ?? 0;
			counts.set(line, count - 1);
			return count <= 0;
		});
	};
	return [...less(expected, actual).map((line) => `- ${line}`), ...less(actual, expected).map((line) => `+ ${line}`)];
}
