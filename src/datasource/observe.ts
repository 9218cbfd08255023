/** Everything that one DataSource depends on, read from the caches into one value, the clock included. */
import type {DataSource} from '../api/data-source.ts';
import type {DataVolume} from '../api/datavolume.ts';
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import type {VolumeSnapshot} from '../api/snapshot.ts';
import {timestampOf} from '../api/timestamp.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi, ObjectKey} from '../kube/client.ts';
import {parseKey} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import type {Index} from '../kube/store.ts';
import {isResolveProblem, type Resolution, resolveDataSource, withNamespace} from './resolve.ts';

export interface Observed {
	readonly dataSource: DataSource | undefined;
	/** RFC 3339 */
	readonly now: string;
	/** Undefined without a DataSource. */
	readonly resolution: Resolution | undefined;
	/** What it resolves to, and the DataVolume that fills that claim. */
	readonly claim: PersistentVolumeClaim | undefined;
	readonly dataVolume: DataVolume | undefined;
	readonly snapshot: VolumeSnapshot | undefined;
}

type TargetKind = 'PersistentVolumeClaim' | 'VolumeSnapshot' | 'DataSource';

const targetKey = (kind: TargetKind, namespace: string | undefined, name: string) => `${kind}/${namespace}/${name}`;

/** DataSources by what `spec.source` names, as `Kind/namespace/name`. */
export const dataSourcesByTarget: Index<DataSource> = {
	name: 'target',
	keys: ({metadata, spec}) => {
		const {pvc, snapshot, dataSource} = spec.source;
		return [
			['PersistentVolumeClaim', pvc] as const,
			['VolumeSnapshot', snapshot] as const,
			['DataSource', dataSource] as const,
		].flatMap(([kind, given]) => {
			if (!given) return [];
			const {namespace, name} = withNamespace(given, metadata.namespace);
			return [targetKey(kind, namespace, name)];
		});
	},
};

/** The DataSource and those that refer to it. */
export function withReferrers(caches: Caches, dataSource: DataSource): readonly DataSource[] {
	const {namespace, name} = dataSource.metadata;
	const key = targetKey('DataSource', namespace, name);
	return [dataSource, ...caches.store(resources.dataSources).byIndex(dataSourcesByTarget.name, key)];
}

/** DataSources that come to this claim or snapshot, by themselves or through another one. */
export function dataSourcesOf(
	caches: Caches,
	kind: 'PersistentVolumeClaim' | 'VolumeSnapshot',
	{namespace, name}: {readonly namespace?: string | undefined; readonly name: string},
): readonly DataSource[] {
	const direct = caches
		.store(resources.dataSources)
		.byIndex(dataSourcesByTarget.name, targetKey(kind, namespace, name));
	return direct.flatMap((dataSource) => withReferrers(caches, dataSource));
}

export function resolveFromCaches(caches: Caches, dataSource: DataSource): Resolution {
	return resolveDataSource(dataSource, (namespace, name) => caches.store(resources.dataSources).get(namespace, name));
}

/** Asked of the server itself, as virt-controller does: a cache may not show yet that the DataSource moved. */
export async function resolveLive(
	api: Pick<KubeApi, 'find'>,
	key: ObjectKey,
	signal: AbortSignal,
): Promise<Resolution | undefined> {
	const dataSource = await api.find(resources.dataSources, key, {signal});
	const reference = dataSource?.spec.source.dataSource;
	const referred =
		reference &&
		(await api.find(resources.dataSources, withNamespace(reference, dataSource.metadata.namespace), {signal}));
	return dataSource && resolveDataSource(dataSource, () => referred);
}

export function observe(key: string, {caches, now}: {readonly caches: Caches; readonly now: () => number}): Observed {
	const {namespace, name} = parseKey(key);
	const dataSource = caches.store(resources.dataSources).get(namespace, name);
	const resolution = dataSource && resolveFromCaches(caches, dataSource);
	const found = resolution && !isResolveProblem(resolution) ? resolution : undefined;
	const pvc = found?.kind === 'pvc' ? found.pvc : undefined;
	const snapshot = found?.kind === 'snapshot' ? found.snapshot : undefined;
	return {
		dataSource,
		now: timestampOf(now()),
		resolution,
		claim: pvc && caches.store(resources.persistentVolumeClaims).get(pvc.namespace, pvc.name),
		dataVolume: pvc && caches.store(resources.dataVolumes).get(pvc.namespace, pvc.name),
		snapshot: snapshot && caches.store(resources.volumeSnapshots).get(snapshot.namespace, snapshot.name),
	};
}
