import {describe, expect, test} from 'vitest';
import {reviewOf} from './authorization.ts';
import {dataSource, dataVolume, template, vm} from './builders.ts';
import {adoption, makeDataVolume, resolve, sourceRefOf} from './data-volume.ts';

const golden = {pvc: {namespace: 'golden', name: 'os'}};

describe('the DataVolume of a template', () => {
	test('has exactly the metadata of the table, and an empty status', () => {
		const given = template({labels: {team: 'a'}, annotations: {note: 'b'}, spec: {source: golden, storage: {}}});
		expect(makeDataVolume(vm(), given, golden)).toEqual({
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'DataVolume',
			metadata: {
				name: 'vm-root',
				namespace: 'ns',
				labels: {team: 'a', 'kubevirt.io/created-by': 'vm-uid'},
				annotations: {note: 'b', 'cdi.kubevirt.io/allowClaimAdoption': 'true'},
				ownerReferences: [
					{
						apiVersion: 'kubevirt.io/v1',
						kind: 'VirtualMachine',
						name: 'vm',
						uid: 'vm-uid',
						controller: true,
						blockOwnerDeletion: true,
					},
				],
			},
			spec: {source: golden, storage: {}},
			status: {},
		});
	});

	test('has a source and no sourceRef once that is resolved', () => {
		const given = template({spec: {sourceRef: {kind: 'DataSource', name: 'os'}, storage: {}}});
		expect(makeDataVolume(vm(), given, golden).spec).toEqual({source: golden, storage: {}});
	});

	test("has the VM's priority class where it names none", () => {
		const urgent = vm({instance: {priorityClassName: 'urgent'}});
		const made = (spec: object) => makeDataVolume(urgent, template({spec}), undefined).spec.priorityClassName;
		expect(made({source: golden})).toBe('urgent');
		expect(made({source: golden, priorityClassName: 'own'})).toBe('own');
	});

	test('that is there already gets the VM as one more owner, if it is still the same object', () => {
		const other = {apiVersion: 'v1', kind: 'Secret', name: 'other', uid: 'other'};
		const patch = adoption(vm(), dataVolume({owners: [other]}));
		expect(patch.metadata.uid).toBe('vm-root-uid');
		expect(patch.metadata.ownerReferences).toEqual([other, expect.objectContaining({uid: 'vm-uid', controller: true})]);
	});
});

describe('a sourceRef', () => {
	test("is looked for in its namespace, or in the VM's", () => {
		const sourceRef = {kind: 'DataSource', name: 'os'};
		expect(sourceRefOf(template({spec: {sourceRef}}), 'ns')).toEqual({namespace: 'ns', name: 'os'});
		expect(sourceRefOf(template({spec: {sourceRef: {...sourceRef, namespace: 'golden'}}}), 'ns')).toEqual({
			namespace: 'golden',
			name: 'os',
		});
		expect(sourceRefOf(template({spec: {source: golden}}), 'ns')).toBeUndefined();
	});

	const at = {namespace: 'golden', name: 'os-stable'};
	const nested = {dataSource: {namespace: 'golden', name: 'os-latest'}};

	test.each([
		['a claim', dataSource({source: golden}), {source: golden}],
		[
			'a claim without namespace: that of the DataSource',
			dataSource({source: {pvc: {namespace: '', name: 'os'}}}),
			{source: golden},
		],
		[
			'a snapshot',
			dataSource({source: {snapshot: {namespace: 'golden', name: 'cut'}}}),
			{source: {snapshot: {namespace: 'golden', name: 'cut'}}},
		],
		['another DataSource: what its status says', dataSource({source: nested, resolved: golden}), {source: golden}],
		['a claim, whatever its status says', dataSource({source: golden, resolved: {}}), {source: golden}],
	])('leads to %s', (_, given, expected) => {
		expect(resolve(at, given)).toEqual(expected);
	});

	test.each([
		['is not there', undefined],
		['has nothing', dataSource({source: {}})],
		['points at another one, and has no status yet', dataSource({source: nested})],
	])('is an error where it %s', (_, given) => {
		expect(resolve(at, given)).toHaveProperty('error');
	});
});

describe('authorization', () => {
	const ask = (source: Parameters<typeof reviewOf>[2]['source'], annotations = {}) =>
		reviewOf(vm().spec.template.spec, 'ns', {template: template({annotations}), source});

	test("asks for the VM's own service account", () => {
		expect(ask(golden)).toMatchObject({
			user: 'system:serviceaccount:ns:default',
			groups: ['system:serviceaccounts', 'system:serviceaccounts:ns', 'system:authenticated'],
		});
		const volume = {name: 'account', serviceAccount: {serviceAccountName: 'of-volume'}};
		const asked = {template: template(), source: golden};
		expect(reviewOf({volumes: [volume]}, 'ns', asked).user).toBe('system:serviceaccount:ns:of-volume');
		expect(reviewOf({volumes: [volume], serviceAccountName: 'own'}, 'ns', asked).user).toBe(
			'system:serviceaccount:ns:own',
		);
	});

	test('asks nothing in the same namespace, and of what is no clone', () => {
		expect(ask({pvc: {namespace: 'ns', name: 'os'}}).anyOf).toEqual([]);
		expect(ask({blank: {}}).anyOf).toEqual([]);
	});

	const words = (lists: ReturnType<typeof ask>['anyOf']) =>
		lists.map((list) =>
			list.map(({resource, subresource, namespace}) => [namespace, resource, subresource].filter(Boolean).join('/')),
		);

	test('of a claim wants one of two rights', () => {
		expect(words(ask(golden).anyOf)).toEqual([['golden/datavolumes/source'], ['golden/pods']]);
	});

	test('of a snapshot wants one right, or two others', () => {
		expect(words(ask({snapshot: {namespace: 'golden', name: 'cut'}}).anyOf)).toEqual([
			['golden/datavolumes/source'],
			['golden/pods', 'golden/pvcs'],
		]);
	});

	test.each(['cdi.kubevirt.io/storage.prePopulated', 'cdi.kubevirt.io/storage.checkStaticVolume'])(
		'does not matter with the annotation %s, even an empty one',
		(annotation) => {
			expect(ask(golden, {[annotation]: ''}).tolerated).toBe(true);
			expect(ask(golden).tolerated).toBe(false);
		},
	);
});
