import {describe, expect, test} from 'vitest';
import {type StorageProfileOptions, storageClass, storageProfile} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import type {StorageClass} from '../api/kubernetes.ts';
import type {StorageProfile} from '../api/storage-profile.ts';
import {decide} from './decide.ts';
import {resolveProfile} from './resolve.ts';

const fast = storageClass({uid: 'new'});
const ebs = {...storageClass({provisioner: 'ebs.csi.aws.com'}), parameters: {type: 'gp3'}};
const ofClass = (uid: string, options: StorageProfileOptions = {}) => storageProfile({...options, ofClass: uid});

function plan(of: StorageClass | undefined, profile?: StorageProfile) {
	const resolved = of && resolveProfile({storageClass: of, profile, snapshotClasses: []});
	return decide({name: 'fast', now: '2026-01-01T00:00:00Z', storageClass: of, profile, resolved});
}

describe('a StorageProfile', () => {
	test('is made for a class, empty, and goes with it', () => {
		expect(plan(fast)).toMatchObject({
			do: 'create',
			profile: {metadata: {name: 'fast', ownerReferences: [{kind: 'StorageClass', uid: 'new'}]}, spec: {}},
		});
	});

	test('has the smallest size of its storage on it, unless something else is there', () => {
		const size = {[annotations.minimumSupportedPvcSize]: '1Gi'};
		expect(plan(ebs)).toMatchObject({do: 'create', profile: {metadata: {annotations: size}}});
		expect(plan(ebs, storageProfile())).toMatchObject({do: 'recordMinimumSize', size: '1Gi'});
		const own = storageProfile({annotations: {[annotations.minimumSupportedPvcSize]: '0'}});
		expect(plan(ebs, own)).toEqual({do: 'nothing'});
	});

	test.each<[string, StorageClass | undefined, StorageProfile, object]>([
		['is left alone', fast, ofClass('new'), {do: 'nothing'}],
		['that somebody made, or CDI, is left alone', fast, storageProfile(), {do: 'nothing'}],
		['goes when its class is gone', undefined, ofClass('old'), {do: 'delete', why: 'ClassGone'}],
		[
			'that CDI made goes when its class is gone',
			undefined,
			storageProfile({status: {storageClass: 'fast'}}),
			{do: 'delete', why: 'ClassGone'},
		],
		['goes when its class was made anew', fast, ofClass('old'), {do: 'delete', why: 'ClassReplaced'}],
		['that somebody made before its class waits for that', undefined, storageProfile(), {do: 'nothing'}],
		['that is being deleted is left alone', undefined, ofClass('old', {deleting: true}), {do: 'nothing'}],
	])('%s', (_, of, profile, expected) => {
		expect(plan(of, profile)).toMatchObject(expected);
	});

	test('its spec is never written', () => {
		const given = storageProfile({ofClass: 'new', spec: {cloneStrategy: 'copy'}});
		expect(plan(fast, given)).toEqual({do: 'nothing'});
	});
});
