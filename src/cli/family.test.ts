import {expect, test} from 'vitest';
import {
	assignedTo,
	claim,
	dataVolume,
	type DataVolumeOptions,
	sharedSnapshot,
	snapshot,
} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {drawTree, treeOf} from './family.ts';

const golden = {namespace: 'ns', name: 'golden'};
const source = claim({...golden, request: '10Gi', annotations: {[annotations.immutable]: 'true'}});
const shared = sharedSnapshot({
	source: golden,
	name: 'abc-1',
	status: {
		state: 'Current',
		reuse: 'DeclaredImmutable',
		stripes: [{snapshotName: 's', readyToUse: true, restoreSize: '10Gi'}],
	},
});
const clone = (name: string, options: DataVolumeOptions = {}) =>
	dataVolume({name, uid: `${name}-uid`, size: '20Gi', source: {pvc: golden}, status: {phase: 'Succeeded'}, ...options});
const by = (way: string) => ({[annotations.cloneType]: way});

test('a tree shows each disk once, under what it was made from', () => {
	const dataVolumes = [
		clone('vm-10', {annotations: {...assignedTo(shared, 'vm-10-uid'), ...by('snapshot')}}),
		clone('vm-2', {annotations: {...assignedTo(shared, 'vm-2-uid'), ...by('snapshot')}}),
		clone('old', {annotations: by('snapshot')}),
		clone('by-driver', {annotations: by('csi-clone')}),
		clone('copied', {annotations: by('copy'), status: {phase: 'CloneInProgress'}}),
		clone('new', {status: {}}),
		clone('of-another', {source: {pvc: {namespace: 'ns', name: 'other'}}}),
		clone('restored', {source: {snapshot: {namespace: 'ns', name: 'by-hand'}}}),
	];
	const family = {
		...{golden, claim: source, driver: 'csi.example.com', shared: [shared], dataVolumes},
		snapshots: [snapshot({name: 'by-hand', ofClaim: 'golden'}), snapshot({name: 'unused', ofClaim: 'golden'})],
		claims: [claim({name: 'vm-2', request: '12Gi'})],
	};
	expect(drawTree(treeOf(family))).toBe(`ns/golden, 10Gi, Bound, driver csi.example.com, declared immutable
├─ shared snapshot abc-1, Current, restore size 10Gi, serves later clones (DeclaredImmutable), 2 clones
│  ├─ ns/vm-2    12Gi   Succeeded   snapshot
│  └─ ns/vm-10   20Gi   Succeeded   snapshot
├─ snapshot by-hand, 1 clone
│  └─ ns/restored   20Gi   Succeeded   -
├─ restored from snapshots that are gone
│  └─ ns/old   20Gi   Succeeded   snapshot
├─ cloned by the storage driver
│  └─ ns/by-driver   20Gi   Succeeded   csi-clone
├─ copied
│  └─ ns/copied   20Gi   CloneInProgress   copy
└─ not begun
   └─ ns/new   20Gi   Pending   -
`);
});

test('a golden claim that is gone still has its clones', () => {
	const family = {golden, claim: undefined, driver: undefined, shared: [], snapshots: [], claims: []};
	expect(drawTree(treeOf({...family, dataVolumes: []}))).toBe('ns/golden, not there\n');
});
