/** The DataVolume that a VM gets from a template (§1.1), and where its content comes from (§1.3). */
import type {DataVolume, DataVolumeSource, DataVolumeSpec} from '../../src/api/datavolume.ts';
import {controlledBy, type DataSource, type DataVolumeTemplate, names, type VirtualMachine} from './api.ts';

export type Resolved = {readonly source: DataVolumeSource} | {readonly error: string};

/** The DataSource that has to be looked at, live, before the DataVolume can be made. */
export function sourceRefOf(
	{spec: {sourceRef}}: DataVolumeTemplate,
	namespace: string,
): {readonly namespace: string; readonly name: string} | undefined {
	return sourceRef && {namespace: sourceRef.namespace || namespace, name: sourceRef.name};
}

/** Of one that points at another DataSource it is `status.source` that counts, which CDI's controller writes. */
export function resolve(
	at: {readonly namespace: string; readonly name: string},
	dataSource: DataSource | undefined,
): Resolved {
	const name = `DataSource ${at.namespace}/${at.name}`;
	if (!dataSource) return {error: `${name} is not there`};
	const given = dataSource.spec.source.dataSource ? dataSource.status?.source : dataSource.spec.source;
	if (given?.pvc) return {source: {pvc: {...given.pvc, namespace: given.pvc.namespace || at.namespace}}};
	if (given?.snapshot)
		return {source: {snapshot: {...given.snapshot, namespace: given.snapshot.namespace || at.namespace}}};
	return {error: `${name} leads to neither a claim nor a snapshot`};
}

/** What is sent to the API server: with a status, as a Go struct has one; without a namespace, that is in the path. */
export function makeDataVolume(
	vm: VirtualMachine,
	template: DataVolumeTemplate,
	source: DataVolumeSource | undefined,
): DataVolume {
	const {sourceRef: _, ...rest} = template.spec;
	const spec: DataVolumeSpec = source ? {...rest, source} : template.spec;
	const priorityClassName = spec.priorityClassName ?? vm.spec.template.spec.priorityClassName;
	return {
		apiVersion: 'cdi.kubevirt.io/v1beta1',
		kind: 'DataVolume',
		metadata: {
			name: template.metadata.name,
			namespace: vm.metadata.namespace ?? '',
			labels: {...template.metadata.labels, [names.createdBy]: vm.metadata.uid ?? ''},
			annotations: {...template.metadata.annotations, [names.allowClaimAdoption]: 'true'},
			ownerReferences: [controlledBy(vm)],
		},
		spec: priorityClassName === undefined ? spec : {...spec, priorityClassName},
		status: {},
	};
}

/** Takes over one that is there already: a merge patch that replaces the whole list of owners. */
export function adoption(vm: VirtualMachine, dataVolume: DataVolume) {
	const owners = dataVolume.metadata.ownerReferences ?? [];
	return {metadata: {uid: dataVolume.metadata.uid ?? '', ownerReferences: [...owners, controlledBy(vm)]}};
}
