/** What restores are paced by: of one snapshot, or of one claim that the driver clones, only so many at a time. */
import type {PersistentVolumeClaim} from '../api/kubernetes.ts';
import type {Index} from '../kube/store.ts';

/**
 * Undefined where the driver makes the claim from nothing. An alias has the name of its original on purpose: in the storage
 * they are one.
 */
export function paceKeyOf({metadata, spec: {dataSource}}: PersistentVolumeClaim): string | undefined {
	if (dataSource?.kind === 'VolumeSnapshot') return dataSource.name;
	if (dataSource?.kind === 'PersistentVolumeClaim') return `${metadata.namespace}/${dataSource.name}`;
	return undefined;
}

/** Claims that are not made yet, by their pace key. */
export const pendingByPaceKey: Index<PersistentVolumeClaim> = {
	name: 'pendingPaceKey',
	keys: (claim) => {
		const key = claim.status?.phase === 'Bound' ? undefined : paceKeyOf(claim);
		return key === undefined ? [] : [key];
	},
};
