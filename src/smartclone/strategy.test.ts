import {describe, expect, test} from 'vitest';
import {chooseWay, type CloneFacts, type DeclineCode, declineCodes, describeDeclined} from './strategy.ts';

const possible: CloneFacts = {
	sourceKind: 'pvc',
	sourceDriver: 'csi.example.com',
	sourceVolumeMode: 'Filesystem',
	sourceCapacityBytes: 10n,
	targetProvisioner: 'csi.example.com',
	targetIsCsi: true,
	targetVolumeMode: 'Filesystem',
	targetRequestBytes: 10n,
	targetExpandable: true,
	equalSizeRestore: false,
	snapshotsServed: true,
	snapshotClass: 'snapshots',
};

type Row = readonly [when: string, facts: Partial<CloneFacts>, code: DeclineCode, words: RegExp];

const rows: readonly Row[] = [
	['the cluster has no snapshots', {snapshotsServed: false}, 'SnapshotsNotServed', /install the CRDs/],
	['the source is no CSI volume', {sourceDriver: undefined}, 'SourceNotCsi', /not a CSI volume/],
	['the target is no CSI volume', {targetIsCsi: false}, 'TargetNotCsi', /csi\.example\.com has no CSIDriver object/],
	[
		'the drivers of claim and class differ',
		{targetProvisioner: 'other'},
		'IncompatibleProvisioners',
		/different drivers \(csi\.example\.com, other\)/,
	],
	[
		'the drivers of snapshot and class differ',
		{sourceKind: 'snapshot', targetProvisioner: 'other'},
		'NoProvisionerMatch',
		/use a class of the source's driver/,
	],
	['no snapshot class is there', {snapshotClass: undefined}, 'NoVolumeSnapshotClass', /create one/],
	['the modes differ', {targetVolumeMode: 'Block'}, 'IncompatibleVolumeModes', /Source is Filesystem, target Block/],
	[
		'an equal-size restore could not grow',
		{equalSizeRestore: true, targetRequestBytes: 11n, targetExpandable: false},
		'NoVolumeExpansion',
		/does not allow volume expansion/,
	],
];

describe('chooseWay', () => {
	test('clones by snapshot where nothing is against it, with nothing to explain', () => {
		expect(chooseWay(possible)).toEqual({way: 'snapshot', declined: []});
	});

	test.each(rows)('copies where %s, and says so', (_, facts, code, words) => {
		const {way, declined} = chooseWay({...possible, ...facts});
		expect(way).toBe('copy');
		expect(declined).toEqual([{way: 'snapshot', code, message: expect.stringMatching(words)}]);
	});

	test('every code has a row', () => {
		expect(rows.map(([, , code]) => code).toSorted()).toEqual([...declineCodes].toSorted());
	});

	test.each<[string, Partial<CloneFacts>]>([
		['a larger target', {targetRequestBytes: 20n}],
		['a larger target that grows after an equal-size restore', {targetRequestBytes: 20n, equalSizeRestore: true}],
		['an equal target of an equal-size driver that cannot grow', {equalSizeRestore: true, targetExpandable: false}],
		['a snapshot as source without any snapshot class', {sourceKind: 'snapshot', snapshotClass: undefined}],
		['Block to Block', {sourceVolumeMode: 'Block', targetVolumeMode: 'Block'}],
	])('clones %s by snapshot', (_, facts) => {
		expect(chooseWay({...possible, ...facts}).way).toBe('snapshot');
	});

	test('all reasons are told, not the first alone', () => {
		const {declined} = chooseWay({
			...possible,
			snapshotsServed: false,
			targetProvisioner: 'o',
			snapshotClass: undefined,
		});
		expect(declined.map(({code}) => code)).toEqual([
			'SnapshotsNotServed',
			'IncompatibleProvisioners',
			'NoVolumeSnapshotClass',
		]);
	});
});

describe('describeDeclined', () => {
	test('is one line of codes and words', () => {
		const declined = [
			{way: 'snapshot', code: 'SourceNotCsi', message: 'a'},
			{way: 'snapshot', code: 'TargetNotCsi', message: 'b'},
		] as const;
		expect(describeDeclined(declined)).toBe('SourceNotCsi: a; TargetNotCsi: b');
		expect(describeDeclined([])).toBe('');
	});
});
