import {describe, expect, test} from 'vitest';
import {claim, dataVolume, plainSets, storageClass} from '../../test/support/builders.ts';
import type {DataVolumeSpec} from '../api/datavolume.ts';
import type {StorageClass} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {ClaimPropertySet} from '../api/storage-profile.ts';
import {parseSets} from '../storageprofile/known-provisioners.ts';
import {isRenderProblem, type RenderFacts, renderClaim} from './render.ts';

const marked = (annotation: string) => ({annotations: {[annotation]: 'true'}});
const fast = storageClass({name: 'fast', ...marked(annotations.defaultStorageClass)});
const slow = storageClass({name: 'slow'});

function render(spec: Partial<DataVolumeSpec>, facts: Partial<RenderFacts> = {}) {
	return renderClaim(dataVolume({spec}), {
		storageClasses: [fast, slow],
		profileOf: () => ({claimPropertySets: plainSets, minimumSize: undefined}),
		overheadOf: () => 0.06,
		...facts,
	});
}

function requestOf(spec: Partial<DataVolumeSpec>, facts: Partial<RenderFacts> = {}): string | undefined {
	const rendered = render(spec, facts);
	return isRenderProblem(rendered) ? rendered.message : rendered.spec.resources?.requests?.['storage'];
}

const storage = (request: string) => ({resources: {requests: {storage: request}}});

describe('renderClaim: class', () => {
	test.each([
		['the one that is named', {storage: {...storage('1Gi'), storageClassName: 'slow'}}, [fast, slow], 'slow'],
		["the cluster's default", {storage: storage('1Gi')}, [slow, fast], 'fast'],
		[
			'the default for virtual machines before it',
			{storage: storage('1Gi')},
			[fast, storageClass({name: 'virt', ...marked(annotations.defaultVirtStorageClass)})],
			'virt',
		],
		[
			'not the default for virtual machines for files',
			{contentType: 'archive', storage: storage('1Gi')},
			[fast, storageClass({name: 'virt', ...marked(annotations.defaultVirtStorageClass)})],
			'fast',
		],
		[
			'not the default for virtual machines for a claim as it is',
			{pvc: storage('1Gi')},
			[fast, storageClass({name: 'virt', ...marked(annotations.defaultVirtStorageClass)})],
			'fast',
		],
		[
			'of several defaults the newest',
			{storage: storage('1Gi')},
			[fast, storageClass({name: 'new', created: '2026-02-01T00:00:00Z', ...marked(annotations.defaultStorageClass)})],
			'new',
		],
	] satisfies [string, Partial<DataVolumeSpec>, StorageClass[], string][])('is %s', (_, spec, storageClasses, name) => {
		const rendered = render(spec, {storageClasses});
		expect(!isRenderProblem(rendered) && rendered.spec.storageClassName).toBe(name);
	});
});

describe('renderClaim: size', () => {
	const source = (options: Parameters<typeof claim>[0]) => ({source: {claim: claim(options)}});
	test.each<[string, Partial<DataVolumeSpec>, Partial<RenderFacts>, string]>([
		['spec.pvc as it is', {pvc: storage('1Gi')}, {}, '1Gi'],
		['spec.storage with what the file system needs', {storage: storage('1Gi')}, {}, '1138166334'],
		['spec.storage on a device as it is', {storage: {...storage('1Gi'), volumeMode: 'Block'}}, {}, '1Gi'],
		['the size of the claim that is cloned', {storage: {}}, source({request: '3Gi'}), '3Gi'],
		[
			'the usable part where a file system becomes a device',
			{storage: {volumeMode: 'Block'}},
			source({request: '1Gi'}),
			'966Mi',
		],
		[
			'more where a device becomes a file system',
			{storage: {}},
			source({request: '1Gi', volumeMode: 'Block'}),
			'1138166334',
		],
		[
			'the size of the disk that is cloned, and what the file system needs',
			{storage: {}},
			{source: {claim: claim({request: '3Gi'}), disk: 1_073_741_824n}},
			'1138166334',
		],
		[
			'the size of a disk that has another format than whole mebibytes, rounded up',
			{storage: {volumeMode: 'Block'}},
			{source: {claim: claim({request: '3Gi'}), disk: 1_073_741_825n}},
			'1025Mi',
		],
		[
			'the size that is asked for, whatever the disk has',
			{storage: {...storage('2Gi'), volumeMode: 'Block'}},
			{source: {claim: claim({request: '3Gi'}), disk: 'unknown'}},
			'2Gi',
		],
		['the size of the snapshot that is cloned', {storage: {}}, {source: {restoreSize: '2Gi'}}, '2Gi'],
		['a bare number', {storage: {resources: {requests: {storage: 2_097_152}}, volumeMode: 'Block'}}, {}, '2097152'],
	])('is %s', (_, spec, facts, request) => {
		expect(requestOf(spec, facts)).toBe(request);
	});
});

describe('renderClaim: what the class has to say', () => {
	const profileOf = (minimumSize?: string, claimPropertySets: readonly ClaimPropertySet[] = ceph) => ({
		profileOf: () => ({claimPropertySets, minimumSize}),
	});
	const ceph = parseSets('Xb Ob Of');
	const [many, once] = [['ReadWriteMany'], ['ReadWriteOnce']] as const;

	test.each<[string, Partial<DataVolumeSpec>, Partial<RenderFacts>, object]>([
		['neither mode: the first set', {storage: storage('1Gi')}, profileOf(), {accessModes: many, volumeMode: 'Block'}],
		[
			'all access modes of a set',
			{storage: storage('1Gi')},
			profileOf(undefined, [{accessModes: [...many, ...once], volumeMode: 'Filesystem'}]),
			{accessModes: [...many, ...once], volumeMode: 'Filesystem'},
		],
		[
			'the volume mode: the first set with it',
			{storage: {...storage('1Gi'), volumeMode: 'Filesystem'}},
			profileOf(),
			{accessModes: once, volumeMode: 'Filesystem'},
		],
		[
			'access modes: the first set that shares one',
			{storage: {...storage('1Gi'), accessModes: [...once]}},
			profileOf(undefined, parseSets('Xf Ob')),
			{accessModes: once, volumeMode: 'Block'},
		],
		[
			'access modes that no set has: what is usual',
			{storage: {...storage('1Gi'), accessModes: ['ReadOnlyMany']}},
			profileOf(),
			{accessModes: ['ReadOnlyMany'], volumeMode: 'Filesystem'},
		],
		[
			'both',
			{storage: {...storage('1Gi'), accessModes: [...once], volumeMode: 'Block'}},
			profileOf(undefined, []),
			{accessModes: once, volumeMode: 'Block'},
		],
		[
			'files: a file system, whatever is preferred',
			{contentType: 'archive', storage: storage('1Gi')},
			profileOf(),
			{accessModes: once, volumeMode: 'Filesystem'},
		],
		['a claim as it is: nothing', {pvc: storage('1Gi')}, profileOf(), {accessModes: once, volumeMode: 'Filesystem'}],
	])('%s', (_, spec, facts, expected) => {
		expect(render(spec, facts)).toMatchObject({spec: expected});
	});

	test.each<[string, Partial<DataVolumeSpec>, Partial<RenderFacts>, string]>([
		['raised to the smallest', {storage: {...storage('1Gi'), volumeMode: 'Block'}}, profileOf('4Gi'), '4Gi'],
		[
			'not inflated beyond it for nothing',
			{storage: {...storage('1Gi'), volumeMode: 'Filesystem'}},
			profileOf('4Gi'),
			'4Gi',
		],
		['left where it is larger', {storage: {...storage('8Gi'), volumeMode: 'Block'}}, profileOf('4Gi'), '8Gi'],
		[
			'of a clone raised, too',
			{storage: {}},
			{...profileOf('4Gi'), source: {restoreSize: '1Gi', volumeMode: 'Block'}},
			'4Gi',
		],
		['of a claim as it is left', {pvc: storage('1Gi')}, profileOf('4Gi'), '1Gi'],
		[
			'inflated by the overhead of its class',
			{storage: {...storage('1Gi'), volumeMode: 'Filesystem', storageClassName: 'slow'}},
			{...profileOf(), overheadOf: (name) => (name === 'slow' ? 0.5 : 0)},
			'1536Mi',
		],
		[
			"taken from a file system without that of the source's class",
			{storage: {volumeMode: 'Block'}},
			{
				...profileOf(),
				overheadOf: (name) => (name === 'slow' ? 0.5 : 0),
				source: {claim: claim({request: '1536Mi', storageClass: 'slow'})},
			},
			'1Gi',
		],
	])('the size is %s', (_, spec, facts, request) => {
		expect(requestOf(spec, facts)).toBe(request);
	});

	test.each<[string, Partial<DataVolumeSpec>, Partial<RenderFacts>, object]>([
		[
			'neither mode and no set',
			{storage: storage('1Gi')},
			profileOf(undefined, []),
			{
				message: 'no accessMode specified in StorageProfile fast',
				event: 'Spec is missing accessMode and volumeMode, cannot get access mode from StorageProfile fast',
			},
		],
		[
			'no set with this volume mode',
			{storage: {...storage('1Gi'), volumeMode: 'Filesystem'}},
			profileOf(undefined, parseSets('Xb')),
			{
				message: 'no matching accessMode specified in StorageProfile fast',
				event: 'Spec is missing accessMode and cannot get access mode from StorageProfile fast',
			},
		],
		[
			'neither modes nor a class',
			{storage: storage('1Gi')},
			{storageClasses: [slow]},
			{message: 'PVC spec is missing accessMode and no storageClass to choose profile'},
		],
	])('refuses %s in CDI’s words', (_, spec, facts, words) => {
		expect(render(spec, facts)).toEqual({reason: 'ErrClaimNotValid', ...words});
	});
});

describe('renderClaim: the rest', () => {
	test('is ReadWriteOnce and Filesystem unless it says otherwise', () => {
		expect(render({storage: storage('1Gi')})).toMatchObject({
			spec: {accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem'},
		});
		const given = {accessModes: ['ReadWriteMany'], volumeMode: 'Block'} as const;
		expect(render({pvc: {...storage('1Gi'), ...given}})).toMatchObject({spec: given});
	});

	test('carries what only the user can know', () => {
		const given = {
			volumeName: 'v',
			selector: {matchLabels: {a: 'b'}},
			dataSource: {kind: 'PersistentVolumeClaim', name: 'x'},
			volumeAttributesClassName: 'gold',
		};
		expect(render({pvc: {...storage('1Gi'), ...given}})).toMatchObject({spec: given});
	});
});

describe('renderClaim: refusals, in words', () => {
	test.each<[string, Partial<DataVolumeSpec>, Partial<RenderFacts>, RegExp]>([
		['no class and no default', {pvc: storage('1Gi')}, {storageClasses: [slow]}, /no default StorageClass/],
		[
			'a class that does not exist, with those that do',
			{storage: {...storage('1Gi'), storageClassName: 'x'}},
			{},
			/"x" does not exist; the cluster has: fast, slow/,
		],
		['no size and nothing to take it from', {storage: {}}, {}, /size is missing/],
		['no size and a source that has none yet', {storage: {}}, {source: {restoreSize: '0'}}, /size is missing/],
		['a size that is none', {storage: storage('big')}, {}, /"big" is not a quantity/],
		['nought', {storage: storage('0')}, {}, /equal or less than zero/],
		['less than nought', {storage: storage('-1Gi')}, {}, /equal or less than zero/],
		['less than a mebibyte', {storage: storage('1000')}, {}, /at least 1MiB/],
		[
			'an archive on a device',
			{contentType: 'archive', storage: {...storage('1Gi'), volumeMode: 'Block'}},
			{},
			/Archive cannot have block volumeMode/,
		],
	])('%s', (_, spec, facts, message) => {
		expect(render(spec, facts)).toEqual({reason: 'ErrClaimNotValid', message: expect.stringMatching(message)});
	});
	test('no size, and nobody has looked at the disk: to be looked at, not a mistake', () => {
		expect(render({storage: {}}, {source: {disk: 'unknown'}})).toMatchObject({reason: 'SizeUnknown'});
	});
});
