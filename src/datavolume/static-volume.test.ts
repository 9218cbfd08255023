import {describe, expect, test} from 'vitest';
import {volume} from '../../test/support/builders.ts';
import type {PersistentVolume, PersistentVolumeClaimSpec} from '../api/kubernetes.ts';
import {chooseStaticVolume, volumesByClaim} from './static-volume.ts';

const wanted: PersistentVolumeClaimSpec = {
	accessModes: ['ReadWriteOnce'],
	volumeMode: 'Filesystem',
	storageClassName: 'fast',
	resources: {requests: {storage: '1Gi'}},
};

function kept(name: string, spec: Partial<PersistentVolume['spec']> = {}, phase = 'Available'): PersistentVolume {
	const made = volume({name});
	const claimRef = {namespace: 'ns', name: 'disk'};
	const given = {accessModes: ['ReadWriteOnce', 'ReadWriteMany'], storageClassName: 'fast', claimRef} as const;
	return {...made, spec: {...made.spec, ...given, ...spec}, status: {phase}};
}

describe('a volume that was made beforehand', () => {
	test('is found by the claim that it is kept for', () => {
		expect(volumesByClaim.keys(kept('a'))).toEqual(['ns/disk']);
		expect(volumesByClaim.keys(volume())).toEqual([]);
	});

	test('is the first by name of those that fit', () => {
		expect(chooseStaticVolume([kept('b'), kept('a')], wanted)?.metadata.name).toBe('a');
		expect(chooseStaticVolume([], wanted)).toBeUndefined();
	});

	test.each<[string, PersistentVolume]>([
		['is bound', kept('a', {}, 'Bound')],
		['had another claim', kept('a', {}, 'Released')],
		['is of another class', kept('a', {storageClassName: 'slow'})],
		['is of no class', kept('a', {storageClassName: ''})],
		['is a device', kept('a', {volumeMode: 'Block'})],
		['is too small', kept('a', {capacity: {storage: '512Mi'}})],
		['cannot be written', kept('a', {accessModes: ['ReadOnlyMany']})],
	])('does not fit where it %s', (_, volume_) => {
		expect(chooseStaticVolume([volume_], wanted)).toBeUndefined();
	});
});
