/** What virt-controller asks before it makes a DataVolume (§1.3): whether the VM's service account may clone from there. */
import type {DataVolumeSource} from '../../src/api/datavolume.ts';
import {type DataVolumeTemplate, type InstanceSpec, names} from './api.ts';

export interface ResourceAttributes {
	readonly group: string;
	readonly resource: string;
	readonly subresource?: string;
	readonly verb: 'create';
	readonly namespace: string;
	readonly name?: string;
}

export interface AccessReview {
	readonly user: string;
	readonly groups: readonly string[];
	/** Allowed if in one of these lists everything is. Empty: nothing has to be asked. */
	readonly anyOf: readonly (readonly ResourceAttributes[])[];
	/** A refusal does not matter. */
	readonly tolerated: boolean;
}

function accountOf({serviceAccountName, volumes}: InstanceSpec): string {
	const ofVolume = volumes?.find(({serviceAccount}) => serviceAccount)?.serviceAccount?.serviceAccountName;
	return serviceAccountName ?? ofVolume ?? 'default';
}

/** @param source with its namespace filled in. */
export function reviewOf(
	instance: InstanceSpec,
	namespace: string,
	{template, source}: {readonly template: DataVolumeTemplate; readonly source: DataVolumeSource | undefined},
): AccessReview {
	const annotations = template.metadata.annotations ?? {};
	const common = {
		user: `system:serviceaccount:${namespace}:${accountOf(instance)}`,
		groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
		tolerated: names.prePopulated in annotations || names.checkStaticVolume in annotations,
	};
	const from = source?.pvc ?? source?.snapshot;
	if (!from || from.namespace === namespace) return {...common, anyOf: []};
	const at = {verb: 'create', namespace: from.namespace} as const;
	const explicit = {...at, group: 'cdi.kubevirt.io', resource: 'datavolumes', subresource: 'source', name: from.name};
	const pods = {...at, group: '', resource: 'pods'};
	// Literally "pvcs": it is what the review asks.
	const claims = {...at, group: '', resource: 'pvcs'};
	return {...common, anyOf: [[explicit], source?.pvc ? [pods] : [pods, claims]]};
}
