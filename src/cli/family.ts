/** Which disks come from one golden claim, and through which snapshot. Pure. */
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import {annotations, labels} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {VolumeSnapshot} from '../api/snapshot.ts';
import {assignmentOf} from '../datavolume/requests.ts';
import {cloneSourceOf} from '../datavolume/source-ref.ts';
import {keyOf} from '../kube/object-key.ts';
import {assignmentTo} from '../smartclone/requests.ts';
import {shownSize} from './printed.ts';
import {askedSizeOf, wayOf} from './state.ts';

export interface Family {
	readonly golden: {readonly namespace: string; readonly name: string};
	readonly claim: PersistentVolumeClaim | undefined;
	readonly driver: string | undefined;
	readonly shared: readonly SharedSnapshot[];
	/** In the namespace of the golden claim. */
	readonly snapshots: readonly VolumeSnapshot[];
	readonly dataVolumes: readonly DataVolume[];
	readonly claims: readonly PersistentVolumeClaim[];
}

export interface Branch {
	readonly text: string;
	readonly leaves: readonly Branch[];
}

function diskOf(dataVolume: DataVolume, claims: ReadonlyMap<string, PersistentVolumeClaim>): Branch {
	const claim = claims.get(keyOf(dataVolume));
	const size = claim?.status?.capacity?.['storage'] ?? askedSizeOf(dataVolume);
	const phase = dataVolume.status?.phase || 'Pending';
	return {text: [keyOf(dataVolume), shownSize(size), phase, wayOf(dataVolume)].join('  '), leaves: []};
}

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

function sharedBranch(shared: SharedSnapshot, disks: readonly Branch[]): Branch {
	const {state, reuse, clonesInFlight = 0, stripes = []} = shared.status ?? {};
	const [size] = stripes.flatMap(({restoreSize}) => restoreSize ?? []);
	const words = [
		`shared snapshot ${shared.metadata.name}`,
		state ?? 'new',
		...(size ? [`restore size ${shownSize(size)}`] : []),
		...(stripes.length > 1 ? [plural(stripes.length, 'stripe')] : []),
		...(reuse ? [`serves later clones (${reuse})`] : []),
		...(clonesInFlight > 0 ? [`${clonesInFlight} in flight`] : []),
		plural(disks.length, 'clone'),
	];
	return {text: words.join(', '), leaves: disks};
}

export function treeOf({golden, claim, driver, shared, snapshots, dataVolumes, claims}: Family): Branch {
	const byKey = new Map(claims.map((each) => [keyOf(each), each]));
	const disk = (dataVolume: DataVolume) => diskOf(dataVolume, byKey);
	const left = new Set(dataVolumes);
	const take = (is: (dataVolume: DataVolume) => boolean) => {
		const taken = [...left].filter(is);
		for (const dataVolume of taken) left.delete(dataVolume);
		return taken.toSorted((a, b) => keyOf(a).localeCompare(keyOf(b), 'en', {numeric: true})).map(disk);
	};
	const branches = shared
		.toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name, 'en', {numeric: true}))
		.map((one) =>
			sharedBranch(
				one,
				take((dataVolume) => assignmentOf(dataVolume) === assignmentTo(one)),
			),
		);
	for (const {metadata, spec} of snapshots) {
		if (spec.source.persistentVolumeClaimName !== golden.name || metadata.labels?.[labels.sharedSnapshotUid]) continue;
		const disks = take((dataVolume) => {
			const {namespace, name} = cloneSourceOf(dataVolume).snapshot ?? {};
			return namespace === golden.namespace && name === metadata.name;
		});
		if (disks.length > 0)
			branches.push({text: `snapshot ${metadata.name}, ${plural(disks.length, 'clone')}`, leaves: disks});
	}
	const isOfGolden = (dataVolume: DataVolume) => {
		const {namespace, name} = cloneSourceOf(dataVolume).pvc ?? {};
		return namespace === golden.namespace && name === golden.name;
	};
	const hasWay = (way: string | undefined) => (dataVolume: DataVolume) =>
		isOfGolden(dataVolume) && dataVolume.metadata.annotations?.[annotations.cloneType] === way;
	const groups: readonly (readonly [string, readonly Branch[]])[] = [
		['restored from snapshots that are gone', take(hasWay('snapshot'))],
		['cloned by the storage driver', take(hasWay('csi-clone'))],
		['copied', take(hasWay('copy'))],
		['not begun', take(isOfGolden)],
	];
	for (const [text, leaves] of groups) if (leaves.length > 0) branches.push({text, leaves});
	const size = claim?.status?.capacity?.['storage'];
	const words = [
		`${golden.namespace}/${golden.name}`,
		...(size ? [shownSize(size)] : []),
		claim?.status?.phase ?? 'not there',
		...(driver ? [`driver ${driver}`] : []),
		...(claim?.metadata.annotations?.[annotations.immutable] === 'true' ? ['declared immutable'] : []),
	];
	return {text: words.join(', '), leaves: branches};
}

/** Two spaces in a leaf part its columns. */
function aligned(leaves: readonly Branch[]): readonly Branch[] {
	const rows = leaves.map(({text}) => text.split('  '));
	const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
	return leaves.map((leaf, index) => ({
		...leaf,
		text: (rows[index] ?? [])
			.map((cell, column) => cell.padEnd(widths[column] ?? 0))
			.join('   ')
			.trimEnd(),
	}));
}

export function drawTree({text, leaves}: Branch): string {
	const lines = (branches: readonly Branch[]): string[] =>
		aligned(branches).flatMap((branch, index) => {
			const isLast = index === branches.length - 1;
			const below = lines(branch.leaves).map((line) => `${isLast ? '   ' : '│  '}${line}`);
			return [`${isLast ? '└─ ' : '├─ '}${branch.text}`, ...below];
		});
	return [text, ...lines(leaves)].map((line) => `${line}\n`).join('');
}
