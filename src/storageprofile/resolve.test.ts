import {describe, expect, test} from 'vitest';
import {driver, snapshotClass, storageClass, storageProfile, volume} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import type {PersistentVolume} from '../api/kubernetes.ts';
import type {StorageProfileSpec} from '../api/storage-profile.ts';
import {noProvisioner} from './known-provisioners.ts';
import {type ProfileFacts, profileStatus, resolveProfile, wishedStrategy} from './resolve.ts';

const unknown = storageClass();
const topolvm = storageClass({provisioner: 'topolvm.io'});
const ceph = storageClass({provisioner: 'rbd.csi.ceph.com'});
const gke = storageClass({provisioner: 'pd.csi.storage.gke.io'});
const cut = snapshotClass();
const once = {accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem'} as const;
const annotated = (strategy: string) => storageClass({annotations: {[annotations.cloneStrategy]: strategy}});
const spec = (given: StorageProfileSpec) => ({profile: storageProfile({spec: given})});

const resolve = (facts: Partial<ProfileFacts>) =>
	resolveProfile({storageClass: unknown, profile: undefined, snapshotClasses: [], ...facts});

describe('claimPropertySets', () => {
	test.each<[string, Partial<ProfileFacts>, readonly object[]]>([
		['are none of a provisioner that nobody knows', {}, []],
		["are the admin's", spec({claimPropertySets: [once]}), [once]],
		["are the admin's before the table's", {storageClass: ceph, ...spec({claimPropertySets: [once]})}, [once]],
		[
			"are the table's",
			{storageClass: topolvm, ...spec({claimPropertySets: []})},
			[{accessModes: ['ReadWriteOnce'], volumeMode: 'Block'}, once],
		],
	])('%s', (_, facts, sets) => {
		expect(resolve(facts).claimPropertySets).toEqual(sets);
	});

	const byHand = storageClass({provisioner: noProvisioner});
	const local = (name: string, accessModes: PersistentVolume['spec']['accessModes'], mode?: 'Block') => {
		const made = volume({name, inTree: true, ...(mode && {volumeMode: mode})});
		return {...made, spec: {...made.spec, accessModes: accessModes ?? []}};
	};

	test('of volumes made by hand are those that are there, each once', () => {
		const volumes = [
			local('b', ['ReadWriteOnce']),
			local('a', ['ReadWriteOnce', 'ReadWriteMany'], 'Block'),
			local('c', ['ReadWriteOnce']),
			local('d', []),
		];
		const {claimPropertySets, recognized} = resolve({storageClass: byHand, volumes});
		expect(claimPropertySets).toEqual([{accessModes: ['ReadWriteOnce', 'ReadWriteMany'], volumeMode: 'Block'}, once]);
		expect(recognized).toMatchObject({status: 'True', reason: 'RecognizedProvisioner'});
	});

	test('of volumes made by hand are none while there are none', () => {
		const {claimPropertySets, recognized} = resolve({storageClass: byHand});
		expect(claimPropertySets).toEqual([]);
		expect(recognized).toMatchObject({status: 'False', reason: 'UnrecognizedProvisioner'});
	});
});

describe('cloneStrategy', () => {
	test.each<[string, Partial<ProfileFacts>, string]>([
		['is copy where nothing could cut a snapshot', {}, 'copy'],
		['is snapshot where something could', {snapshotClasses: [cut]}, 'snapshot'],
		['is copy where only another driver could', {snapshotClasses: [snapshotClass({driver: 'other'})]}, 'copy'],
		["is the table's", {storageClass: ceph}, 'csi-clone'],
		["is the table's before what could be", {storageClass: topolvm, snapshotClasses: [cut]}, 'copy'],
		["is copy where the table's cannot be", {storageClass: gke}, 'copy'],
		["is the class's", {storageClass: annotated('csi-clone'), snapshotClasses: [cut]}, 'csi-clone'],
		["is the admin's", {storageClass: annotated('csi-clone'), ...spec({cloneStrategy: 'copy'})}, 'copy'],
		["is the admin's also where it cannot be", spec({cloneStrategy: 'snapshot'}), 'snapshot'],
		[
			"is the class's where the admin's is none",
			{storageClass: annotated('copy'), ...spec({cloneStrategy: 'x'})},
			'copy',
		],
	])('%s', (_, facts, strategy) => {
		expect(resolve(facts).cloneStrategy).toBe(strategy);
	});

	test('is a wish only where somebody said it', () => {
		expect(wishedStrategy(ceph, undefined)).toBeUndefined();
		expect(wishedStrategy(annotated('copy'), undefined)).toEqual({
			strategy: 'copy',
			saidBy: 'annotation cdi.kubevirt.io/clone-strategy of StorageClass fast',
		});
		expect(wishedStrategy(annotated('copy'), storageProfile({spec: {cloneStrategy: 'csi-clone'}}))).toEqual({
			strategy: 'csi-clone',
			saidBy: 'spec.cloneStrategy of StorageProfile fast',
		});
	});
});

describe('snapshotClass', () => {
	const byDefault = snapshotClass({name: 'z', isDefault: true});
	const other = snapshotClass({name: 'other', driver: 'other'});
	test.each<[string, Partial<ProfileFacts>, string | undefined]>([
		['is none where the driver has none', {snapshotClasses: [other]}, undefined],
		['is the first by name', {snapshotClasses: [snapshotClass({name: 'b'}), snapshotClass({name: 'a'})]}, 'a'],
		["is the driver's default", {snapshotClasses: [cut, byDefault]}, 'z'],
		["is the admin's", {snapshotClasses: [cut, byDefault], ...spec({snapshotClass: 'snapshots'})}, 'snapshots'],
		[
			"is not the admin's of another driver",
			{snapshotClasses: [cut, other], ...spec({snapshotClass: 'other'})},
			'snapshots',
		],
		["is not the admin's that does not exist", {snapshotClasses: [cut], ...spec({snapshotClass: 'gone'})}, 'snapshots'],
	])('%s', (_, facts, name) => {
		expect(resolve(facts).snapshotClass).toBe(name);
	});
});

describe('the rest', () => {
	test.each<[string, Partial<ProfileFacts>, string]>([
		['pvc where nobody says more', {snapshotClasses: [cut]}, 'pvc'],
		["the table's", {storageClass: gke, snapshotClasses: [snapshotClass({driver: gke.provisioner})]}, 'snapshot'],
		["not the table's without a class to cut with", {storageClass: gke}, 'pvc'],
		["the admin's", {snapshotClasses: [cut], ...spec({dataImportCronSourceFormat: 'snapshot'})}, 'snapshot'],
	])('dataImportCronSourceFormat is %s', (_, facts, format) => {
		expect(resolve(facts).cronFormat).toBe(format);
	});

	test('the smallest size is what the profile has on it, else the table’s', () => {
		const io2 = {...storageClass({provisioner: 'ebs.csi.aws.com'}), parameters: {type: 'io2'}};
		expect(resolve({storageClass: io2}).minimumSize).toBe('4Gi');
		const profile = storageProfile({annotations: {[annotations.minimumSupportedPvcSize]: '8Gi'}});
		expect(resolve({storageClass: io2, profile}).minimumSize).toBe('8Gi');
		expect(resolve({}).minimumSize).toBeUndefined();
	});

	test('the status says all of it, and keeps the time of a condition that stays', () => {
		const profile = storageProfile({spec: {claimPropertySets: [once]}});
		const facts = {storageClass: unknown, profile, snapshotClasses: [cut]};
		const first = profileStatus(facts, resolveProfile(facts), '2026-01-01T00:00:00Z');
		expect(first).toEqual({
			storageClass: 'fast',
			provisioner: driver,
			claimPropertySets: [once],
			cloneStrategy: 'snapshot',
			dataImportCronSourceFormat: 'pvc',
			snapshotClass: 'snapshots',
			conditions: [expect.objectContaining({type: 'Recognized', status: 'False', reason: 'UnrecognizedProvisioner'})],
		});
		const later = {...facts, profile: {...profile, status: first}};
		expect(profileStatus(later, resolveProfile(later), '2027-01-01T00:00:00Z')).toEqual(first);
	});
});
