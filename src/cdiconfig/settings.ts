/** What CDIConfig and the CDI object say, as the other controllers use it: as it is now, each time it is asked for. */
import {type CdiConfigStatus, configName, type ImportProxyConfig, type NodePlacement} from '../api/cdi-config.ts';
import type {CloneStrategy} from '../api/storage-profile.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import {activeCdi} from './cdi.ts';
import {configStatus} from './config-status.ts';
import {type FeatureGate, hasFeatureGate} from './feature-gates.ts';

/** Quantities as text. */
export interface PodResources {
	readonly requests: Readonly<Record<string, string>>;
	readonly limits: Readonly<Record<string, string>>;
}

export interface ClusterSettings {
	/** Share of a Filesystem claim of this class that the file system keeps for itself. */
	readonly overheadOf: (storageClassName: string | undefined) => number;
	readonly hasGate: (gate: FeatureGate) => boolean;
	/** Where nothing else is said of a disk. */
	readonly preallocation: boolean;
	/** Of worker Pods, as the placement. */
	readonly resources: PodResources;
	readonly imagePullSecrets: readonly string[];
	readonly placement: NodePlacement;
	/** Undefined where CDIConfig names no proxy. */
	readonly importProxy: ImportProxyConfig | undefined;
	/** The way of all clones, and in words where that stands. */
	readonly cloneStrategy: {readonly strategy: CloneStrategy; readonly saidBy: string} | undefined;
}

const withoutConfig = configStatus({}, []);

const asText = (quantities: Readonly<Record<string, string | number>> = {}) =>
	Object.fromEntries(Object.entries(quantities).map(([name, quantity]) => [name, String(quantity)]));

export function clusterSettings(caches: Pick<Caches, 'store'>): ClusterSettings {
	const config = caches.store(resources.cdiConfigs).get(undefined, configName);
	const cdi = activeCdi(caches.store(resources.cdis).list());
	const status: CdiConfigStatus = {...withoutConfig, ...config?.status};
	const {filesystemOverhead, defaultPodResourceRequirements: pods, importProxy, imagePullSecrets = []} = status;
	const override = cdi?.spec.cloneStrategyOverride;
	return {
		overheadOf: (name) =>
			Number(
				(name === undefined ? undefined : filesystemOverhead?.storageClass?.[name]) ?? filesystemOverhead?.global ?? 0,
			),
		hasGate: (gate) => hasFeatureGate(config, gate),
		preallocation: status.preallocation ?? false,
		resources: {requests: asText(pods?.requests), limits: asText(pods?.limits)},
		imagePullSecrets: imagePullSecrets.flatMap(({name}) => (name ? [name] : [])),
		placement: cdi?.spec.workload ?? {},
		importProxy: importProxy?.HTTPProxy || importProxy?.HTTPSProxy ? importProxy : undefined,
		cloneStrategy: override &&
			cdi && {strategy: override, saidBy: `spec.cloneStrategyOverride of CDI ${cdi.metadata.name}`},
	};
}
