import {describe, expect, test} from 'vitest';
import {
	chooseWay,
	type CloneFacts,
	type CloneRoute,
	type CloneWay,
	type DeclineCode,
	declineCodes,
	describeDeclined,
	parseDeclined,
	sourceOnOtherNode,
} from './strategy.ts';

const possible: CloneFacts = {
	sourceKind: 'pvc',
	sourceDriver: 'csi.example.com',
	sourceVolumeMode: 'Filesystem',
	sourceCapacityBytes: 10n,
	sourceHasClass: true,
	sameNamespace: true,
	sourceRestorable: true,
	targetProvisioner: 'csi.example.com',
	targetIsCsi: true,
	targetInPlace: false,
	targetVolumeMode: 'Filesystem',
	targetRequestBytes: 10n,
	targetExpandable: true,
	targetWaitsForConsumer: false,
	equalSizeRestore: false,
	equalSizeCsiClone: false,
	nodeLocal: false,
	csiClone: 'never',
	snapshotsServed: true,
	snapshotClass: 'snapshots',
	wish: undefined,
	givenUp: [],
	kept: undefined,
};

type Row = readonly [when: string, facts: Partial<CloneFacts>, code: DeclineCode, words: RegExp];

const rows: readonly Row[] = [
	['the cluster has no snapshots', {snapshotsServed: false}, 'SnapshotsNotServed', /install the CRDs/],
	['the source is no CSI volume', {sourceDriver: undefined}, 'SourceNotCsi', /not a CSI volume/],
	['the target is no CSI volume', {targetIsCsi: false}, 'NoPopulator', /csi\.example\.com has no CSIDriver object/],
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
	[
		'somebody asks for copies',
		{wish: {strategy: 'copy', saidBy: 'spec.cloneStrategyOverride of CDI cdi'}},
		'CloneStrategy',
		/^spec\.cloneStrategyOverride of CDI cdi asks for copies$/,
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

/** Against a clone by the driver only; what is against a restore, is against it too. */
const csiRows: readonly Row[] = [
	['the clone is in another namespace', {sameNamespace: false}, 'OtherNamespace', /same namespace only/],
	['the source has no class', {sourceHasClass: false}, 'NoStorageClass', /names no storage class/],
	['the driver does it badly', {csiClone: 'never'}, 'CsiCloneUnsuitable', /onesnap\.io\/csi-clone/],
	['volumes live on nodes', {nodeLocal: true}, 'CsiCloneUnsuitable', /do not suit/],
	[
		'it could not grow',
		{equalSizeCsiClone: true, targetRequestBytes: 11n, targetExpandable: false},
		'NoVolumeExpansion',
		/size of the source only/,
	],
];

const outOfRange = {code: 'OutOfRange', message: 'too small'};
const noClass = {snapshotClass: undefined};
const byDriver = {csiClone: 'fallback'} as const;

describe('chooseWay', () => {
	test('clones by snapshot where nothing is against it, with nothing to explain', () => {
		expect(chooseWay(possible)).toEqual({way: 'snapshot', route: 'restore', declined: []});
	});

	test.each(rows)('copies where %s, and says so', (_, facts, code, words) => {
		const {way, declined} = chooseWay({...possible, ...facts});
		expect(way).toBe('copy');
		expect(declined[0]).toEqual({way: 'snapshot', code, message: expect.stringMatching(words)});
		// Told once, although it is against a clone by the driver as well.
		expect(declined.slice(1).filter((each) => each.code !== 'CsiCloneUnsuitable')).toEqual([]);
	});

	test.each(csiRows)('does not let the driver clone where %s', (_, facts, code, words) => {
		const {way, declined} = chooseWay({...possible, ...byDriver, ...noClass, ...facts});
		expect(way).toBe('copy');
		expect(declined).toContainEqual({way: 'csi-clone', code, message: expect.stringMatching(words)});
	});

	test('every code has a row', () => {
		const codes = [...rows, ...csiRows].map(([, , code]) => code);
		expect([...new Set([...codes, 'GaveUp', sourceOnOtherNode.code])].toSorted()).toEqual([...declineCodes].toSorted());
	});

	test.each<[string, Partial<CloneFacts>]>([
		['a larger target', {targetRequestBytes: 20n}],
		['a larger target that grows after an equal-size restore', {targetRequestBytes: 20n, equalSizeRestore: true}],
		['an equal target of an equal-size driver that cannot grow', {equalSizeRestore: true, targetExpandable: false}],
		['a snapshot as source without any snapshot class', {sourceKind: 'snapshot', snapshotClass: undefined}],
		['Block to Block', {sourceVolumeMode: 'Block', targetVolumeMode: 'Block'}],
		['what the driver could clone too', byDriver],
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
			'CsiCloneUnsuitable',
		]);
	});

	test('lets the driver clone where a snapshot is impossible', () => {
		expect(chooseWay({...possible, ...byDriver, ...noClass})).toEqual({
			way: 'csi-clone',
			route: 'csiClone',
			declined: [{way: 'snapshot', code: 'NoVolumeSnapshotClass', message: expect.any(String)}],
		});
	});

	test('lets the driver clone before anything else where that is its way, and shares where it cannot', () => {
		const first: CloneFacts = {...possible, csiClone: 'first'};
		expect(chooseWay(first)).toEqual({way: 'csi-clone', route: 'csiClone', declined: []});
		expect(chooseWay({...first, sameNamespace: false})).toMatchObject({way: 'snapshot', route: 'restore'});
		expect(chooseWay({...first, sourceKind: 'snapshot'})).toEqual({way: 'snapshot', route: 'restore', declined: []});
	});

	test('goes on to the next way when one was tried in vain, and says why', () => {
		const once = chooseWay({...possible, ...byDriver, givenUp: [{way: 'snapshot', ...outOfRange}]});
		const gaveUp = {code: 'GaveUp', message: 'Tried in vain (OutOfRange): too small'};
		expect(once).toEqual({way: 'csi-clone', route: 'csiClone', declined: [{way: 'snapshot', ...gaveUp}]});
		const givenUp = [
			{way: 'snapshot', ...outOfRange},
			{way: 'csi-clone', ...outOfRange},
		] as const;
		expect(chooseWay({...possible, ...byDriver, givenUp})).toEqual({
			way: 'copy',
			route: 'copyClaim',
			declined: [
				{way: 'snapshot', ...gaveUp},
				{way: 'csi-clone', ...gaveUp},
			],
		});
	});

	test('keeps the way that something was made for, until it is given up', () => {
		expect(chooseWay({...possible, kept: 'copy'})).toMatchObject({way: 'copy', route: 'copySnapshot'});
		const wish = {strategy: 'copy', saidBy: 'somebody who came later'} as const;
		expect(chooseWay({...possible, kept: 'copy', wish})).toMatchObject({way: 'copy', route: 'copySnapshot'});
		expect(chooseWay({...possible, ...noClass, kept: 'snapshot'})).toMatchObject({way: 'snapshot'});
		const givenUp = [{way: 'snapshot', ...outOfRange}] as const;
		expect(chooseWay({...possible, kept: 'snapshot', givenUp})).toMatchObject({way: 'copy'});
	});

	const wishing = (strategy: CloneWay) => ({wish: {strategy, saidBy: 'somebody'}});

	test.each<[string, Partial<CloneFacts>, CloneWay, CloneRoute]>([
		['copies, and cuts nothing for it', wishing('copy'), 'copy', 'copyClaim'],
		[
			'restores the snapshot that was named all the same',
			{...wishing('copy'), sourceKind: 'snapshot'},
			'snapshot',
			'restore',
		],
		['lets the driver clone', {...wishing('csi-clone'), csiClone: 'fallback'}, 'csi-clone', 'csiClone'],
		['lets the driver clone, although that does not suit it', wishing('csi-clone'), 'csi-clone', 'csiClone'],
		['shares where the driver cannot clone', {...wishing('csi-clone'), sameNamespace: false}, 'snapshot', 'restore'],
		['does not let it where storage is of one node', {...wishing('csi-clone'), nodeLocal: true}, 'snapshot', 'restore'],
		[
			'shares, although the driver would clone first',
			{...wishing('snapshot'), csiClone: 'first'},
			'snapshot',
			'restore',
		],
		['keeps the way that something was made for', {...wishing('copy'), kept: 'snapshot'}, 'snapshot', 'restore'],
	])('CDI §5.2: %s where that is asked for', (_, facts, way, route) => {
		expect(chooseWay({...possible, ...facts})).toMatchObject({way, route});
	});

	const otherMode = {targetVolumeMode: 'Block'} as const;

	test.each<[string, Partial<CloneFacts>, string]>([
		['a snapshot where there can be one', otherMode, 'copySnapshot'],
		['a snapshot, for the class of another driver', {targetProvisioner: 'other'}, 'copySnapshot'],
		['a snapshot, into a claim that is filled in place', {targetIsCsi: false, targetInPlace: true}, 'copySnapshot'],
		['the snapshot that was named', {...otherMode, sourceKind: 'snapshot'}, 'copySnapshot'],
		['the claim where nothing cuts one', {...otherMode, ...noClass}, 'copyClaim'],
		['the claim where the cluster has none', {...otherMode, snapshotsServed: false}, 'copyClaim'],
		['the claim where no class could restore it', {...otherMode, sourceRestorable: false}, 'copyClaim'],
		['the claim where it is not CSI', {sourceDriver: undefined}, 'copyClaim'],
		['the claim where snapshots were tried in vain', {givenUp: [{way: 'snapshot', ...outOfRange}]}, 'copyClaim'],
		[
			'the claim where a copy from a snapshot was',
			{...otherMode, givenUp: [{way: 'copy', ...outOfRange}]},
			'copyClaim',
		],
	])('a copy reads %s', (_, facts, route) => {
		expect(chooseWay({...possible, ...facts})).toMatchObject({way: 'copy', route});
	});

	test.each<[string, Partial<CloneFacts>, string]>([
		['before its consumer has a node, is open', {targetWaitsForConsumer: true}, 'restoreOrCopy'],
		['stays open once it is assigned', {targetWaitsForConsumer: true, kept: 'copy'}, 'restoreOrCopy'],
		['that binds at once, is restored', {}, 'restore'],
		['of another mode, is copied', {targetWaitsForConsumer: true, ...otherMode}, 'copySnapshot'],
		[
			'that was tried in vain, is copied',
			{targetWaitsForConsumer: true, givenUp: [{way: 'snapshot', ...outOfRange}]},
			'copyClaim',
		],
	])('a clone on node-local storage, %s', (_, facts, route) => {
		expect(chooseWay({...possible, nodeLocal: true, ...facts}).route).toBe(route);
	});
});

describe('a target that no volume may be moved to', () => {
	const forbidden = {...possible, targetInPlace: true};

	test('is restored where it is made from the snapshot itself', () => {
		expect(chooseWay(forbidden)).toMatchObject({way: 'snapshot', route: 'restore', declined: []});
	});

	test.each<[string, Partial<CloneFacts>]>([
		['a snapshot of another namespace', {sourceKind: 'snapshot', sameNamespace: false}],
		['a disk of local storage whose consumer has no node yet', {nodeLocal: true, targetWaitsForConsumer: true}],
	])('is copied from %s, and says why', (_, facts) => {
		expect(chooseWay({...forbidden, ...facts})).toMatchObject({
			way: 'copy',
			route: 'copySnapshot',
			declined: expect.arrayContaining([expect.objectContaining({code: 'NoPopulator'})]),
		});
	});
});

describe('describeDeclined', () => {
	test('is one line of codes and words', () => {
		const declined = [
			{way: 'snapshot', code: 'SourceNotCsi', message: 'a'},
			{way: 'snapshot', code: 'NoPopulator', message: 'b'},
		] as const;
		expect(describeDeclined(declined)).toBe('SourceNotCsi: a; NoPopulator: b');
		expect(describeDeclined([])).toBe('');
	});

	test('is read back, whatever the words have in them', () => {
		const declined = [
			{way: 'snapshot', code: 'GaveUp', message: 'Tried in vain (OutOfRange): a; b: c'},
			{way: 'csi-clone', code: 'OtherNamespace', message: 'd; NotACode: e'},
			{way: 'csi-clone', code: 'GaveUp', message: 'two\nlines'},
		] as const;
		expect(parseDeclined(describeDeclined(declined))).toEqual(declined.map(({code, message}) => ({code, message})));
		expect(parseDeclined('')).toEqual([]);
		expect(parseDeclined('whatever a user wrote')).toEqual([]);
	});
});
