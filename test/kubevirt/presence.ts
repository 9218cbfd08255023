/** How KubeVirt finds CDI (§2): by CustomResourceDefinition objects, and by the five resources that its informers need. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import type {Resource} from '../../src/kube/resources.ts';
import {type CdiConfig, cdiConfigs, cdis, dataSources, dataVolumes, type Definition, storageProfiles} from './api.ts';

/** All of them must be served: without one, the VM controller or the VMI controller waits for its caches for ever. */
export const cdiResources: readonly Resource<KubeObject>[] = [
	dataVolumes,
	dataSources,
	cdis,
	cdiConfigs,
	storageProfiles,
];

const group = 'cdi.kubevirt.io';

export function isDataVolumeDefinition({spec}: Definition): boolean {
	return spec.group === group && spec.names.kind === 'DataVolume';
}

/** Why virt-controller would not do anything, or undefined. Whether a definition is Established is not looked at. */
export function absence(definitions: readonly Definition[]): string | undefined {
	if (!definitions.some(isDataVolumeDefinition)) return 'CDI is not installed: no definition of DataVolume';
	const missing = cdiResources.filter(
		({kind}) => !definitions.some(({spec}) => spec.group === group && spec.names.kind === kind),
	);
	if (missing.length === 0) return undefined;
	return `the caches never fill: no definition of ${missing.map(({kind}) => kind).join(', ')}`;
}

/** Without exactly one CDI object, what is hard-coded. */
const defaultOverhead = '0.055';

export type Overhead = {readonly value: string} | {readonly error: string};

/**
 * What the file system of this class needs for itself. An error keeps the VMI's status from being written, so that it
 * never reaches a node; virt-controller of 1.4 and older panics where `global` is missing.
 */
export function overheadOf(
	storageClass: string | undefined,
	{cdiCount, config}: {readonly cdiCount: number; readonly config: CdiConfig | undefined},
): Overhead {
	if (cdiCount !== 1) return {value: defaultOverhead};
	if (!config) return {error: 'there is one CDI, and no CDIConfig "config"'};
	const overhead = config.status?.filesystemOverhead;
	if (!overhead?.global) return {error: 'CDIConfig "config" has no status.filesystemOverhead.global'};
	return {value: (storageClass !== undefined && overhead.storageClass?.[storageClass]) || overhead.global};
}
