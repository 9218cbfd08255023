/**
 * What to write next of CDIConfig and CDI. Pure.
 *
 * The order is KubeVirt's: while there is exactly one CDI object it goes by CDIConfig's status, and old ones crash where that
 * is missing. So CDIConfig comes first, complete, and a CDI object only then, and only where there is none.
 */
import {isDeepStrictEqual} from 'node:util';
import {type Cdi, type CdiConfig, type CdiStatus, configName} from '../api/cdi-config.ts';
import type {StorageClass} from '../api/kubernetes.ts';
import {annotations, cdiVersion, labels, managedByValue} from '../api/names.ts';
import {activeCdi, cdiStatus, defaultCdi, isOnlyDefault} from './cdi.ts';
import {configStatus} from './config-status.ts';
import {mirror} from './mirror.ts';

export interface Observed {
	/** RFC 3339 */
	readonly now: string;
	readonly config: CdiConfig | undefined;
	readonly cdis: readonly Cdi[];
	readonly storageClasses: readonly StorageClass[];
}

export type ConfigPlan =
	| {readonly do: 'nothing'}
	| {readonly do: 'createConfig'; readonly config: CdiConfig}
	/** The whole object, of the version that was seen. */
	| {readonly do: 'updateConfig'; readonly config: CdiConfig}
	/** If there is none indeed. */
	| {readonly do: 'createCdi'; readonly cdi: Cdi}
	/** Made by us where there was none; somebody has made another since. */
	| {readonly do: 'deleteCdi'; readonly cdi: Cdi}
	| {readonly do: 'reportCdi'; readonly cdi: Cdi; readonly status: CdiStatus};

/** As it should be. The CDI object need not be there yet: what it will say counts from the beginning. */
function wantedConfig({config, storageClasses}: Observed, cdi: Cdi): CdiConfig {
	const {spec, fields} = mirror(config, cdi);
	const names = storageClasses.map(({metadata}) => metadata.name);
	const metadata = config?.metadata ?? {
		name: configName,
		labels: {
			[labels.app]: 'containerized-data-importer',
			[labels.cdiComponent]: '',
			[labels.managedBy]: managedByValue,
		},
	};
	return {
		apiVersion: cdiVersion,
		kind: 'CDIConfig',
		...config,
		metadata: {...metadata, annotations: {...metadata.annotations, [annotations.mirroredFields]: fields}},
		spec,
		status: configStatus(spec, names),
	};
}

function tendCdis({cdis, now}: Observed, active: Cdi): ConfigPlan {
	const spare = cdis.find((cdi) => cdi !== active && isOnlyDefault(cdi) && !cdi.metadata.deletionTimestamp);
	if (spare) return {do: 'deleteCdi', cdi: spare};
	for (const cdi of cdis.filter(({metadata}) => !metadata.deletionTimestamp)) {
		const status = cdiStatus(cdi, active.metadata.name, now);
		if (!isDeepStrictEqual(status, cdi.status)) return {do: 'reportCdi', cdi, status};
	}
	return {do: 'nothing'};
}

export function decide(observed: Observed): ConfigPlan {
	const {config, cdis} = observed;
	if (config?.metadata.deletionTimestamp) return {do: 'nothing'};
	const active = activeCdi(cdis);
	const wanted = wantedConfig(observed, active ?? defaultCdi);
	if (!config) return {do: 'createConfig', config: wanted};
	if (!isDeepStrictEqual(wanted, config)) return {do: 'updateConfig', config: wanted};
	return active ? tendCdis(observed, active) : {do: 'createCdi', cdi: defaultCdi};
}
