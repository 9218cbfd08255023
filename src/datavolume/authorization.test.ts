import {describe, expect, test} from 'vitest';
import {dataVolume} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import {authorizationProblem, clonePolicies, referencePolicy} from './authorization.ts';

const early = '2026-01-01T00:00:00Z';
const late = '2026-01-01T00:00:01Z';

const object = (kind: string, name: string, creationTimestamp: string): KubeObject => ({
	apiVersion: 'admissionregistration.k8s.io/v1',
	kind,
	metadata: {name, creationTimestamp},
});
const all = clonePolicies.flatMap((name) => [
	object('ValidatingAdmissionPolicy', name, early),
	object('ValidatingAdmissionPolicyBinding', name, early),
]);

describe('authorizationProblem', () => {
	test('is none where every policy and binding is as old as the DataVolume', () => {
		expect(authorizationProblem(new MemoryCaches(all).caches, dataVolume({created: early}))).toBeUndefined();
	});

	test('asks for the policy about references where there is one, and not elsewhere', () => {
		const refers = dataVolume({created: late, spec: {sourceRef: {kind: 'DataSource', name: 'os'}}});
		const {caches} = new MemoryCaches(all);
		expect(authorizationProblem(caches, refers)).toContain(
			'ValidatingAdmissionPolicy onesnap-reference-authorization is not installed',
		);
		const asks = (created: string) => [
			object('ValidatingAdmissionPolicy', referencePolicy, created),
			object('ValidatingAdmissionPolicyBinding', referencePolicy, created),
		];
		expect(authorizationProblem(new MemoryCaches([...all, ...asks(early)]).caches, refers)).toBeUndefined();
		// One that a release without it let through, because it did nothing with references.
		const old = dataVolume({created: early, spec: {sourceRef: {kind: 'DataSource', name: 'os'}}});
		expect(authorizationProblem(new MemoryCaches([...all, ...asks(late)]).caches, old)).toContain('is younger');
	});

	test.each(all.map((each) => [`${each.kind} ${each.metadata.name}`, each] as const))(
		'names what is missing: %s',
		(name, missing) => {
			const {caches} = new MemoryCaches(all.filter((each) => each !== missing));
			expect(authorizationProblem(caches, dataVolume({created: late}))).toContain(`${name} is not installed`);
		},
	);

	test.each(all.map((each) => [`${each.kind} ${each.metadata.name}`, each] as const))(
		'refuses what is older than %s: nobody asked',
		(name, young) => {
			const younger = object(young.kind, young.metadata.name, late);
			const {caches} = new MemoryCaches(all.map((each) => (each === young ? younger : each)));
			expect(authorizationProblem(caches, dataVolume({created: early}))).toContain(`${name} is younger`);
		},
	);
});
