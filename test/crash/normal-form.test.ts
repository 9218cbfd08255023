import {describe, expect, test} from 'vitest';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {differences, normalForm} from './normal-form.ts';

const uidOf = (digit: string) => `${digit.repeat(8)}-0000-4000-8000-000000000000`;

function run(digit: string, more: object = {}): KubeObject[] {
	const claim = {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {namespace: 'a', name: 'disk', uid: uidOf(digit), resourceVersion: digit, creationTimestamp: digit},
		spec: {volumeName: `pvc-${uidOf(digit)}`},
		status: {conditions: [{type: digit === '1' ? 'B' : 'A'}, {type: digit === '1' ? 'A' : 'B'}]},
		...more,
	};
	const volume = {
		apiVersion: 'v1',
		kind: 'PersistentVolume',
		metadata: {name: `pvc-${uidOf(digit)}`, uid: uidOf(`${Number(digit) + 1}`)},
		spec: {claimRef: {namespace: 'a', name: 'disk', uid: uidOf(digit), resourceVersion: digit}},
	};
	return digit === '1' ? [claim, volume] : [volume, claim];
}

const noted = (annotations: Record<string, string>) => ({
	metadata: {namespace: 'a', name: 'disk', uid: uidOf('1'), annotations},
});

describe('two runs', () => {
	test('that ended alike have the same normal form', () => {
		expect(normalForm(run('1'))).toEqual(normalForm(run('3')));
	});

	test('of which one left something have not', () => {
		const lines = differences(normalForm(run('1')), normalForm([...run('3'), ...run('5').slice(1)]));
		expect(lines).toContain(
			'+ PersistentVolumeClaim a/disk.spec.volumeName = "pvc-{UID of PersistentVolumeClaim a/disk}"',
		);
		expect(lines.filter((line) => line.startsWith('-'))).toEqual([]);
	});

	test('of which one refers to an object that is gone have not', () => {
		expect(normalForm(run('1', {spec: {volumeName: `pvc-${uidOf('9')}`}}))).not.toEqual(normalForm(run('1')));
	});

	test('whose labels, annotations, phases or finalizers differ have not', () => {
		const plain = normalForm(run('1', noted({})));
		expect(normalForm(run('1', noted({more: 'true'})))).not.toEqual(plain);
		expect(normalForm(run('1', {status: {phase: 'Pending'}}))).not.toEqual(
			normalForm(run('1', {status: {phase: 'Bound'}})),
		);
	});

	test('may differ in the number of a shared snapshot, and in the rule by which it served', () => {
		const of = (name: string, rule: string) =>
			normalForm(
				run('1', noted({'onesnap.io/shared-snapshot': `${name}/${uidOf('1')}`, 'onesnap.io/reuse-rule': rule})),
			);
		expect(of('0123456789abcdef-1', 'GroupCommit')).toEqual(of('fedcba9876543210-12', 'DeclaredImmutable'));
		expect(of('0123456789abcdef-1', 'GroupCommit')).not.toEqual(of('0123456789abcdef-1', 'SnapshotSource'));
	});
});
