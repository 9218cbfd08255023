import {describe, expect, test} from 'vitest';
import {cdi, cdiConfig, storageClass} from '../../test/support/builders.ts';
import type {Cdi, CdiConfig} from '../api/cdi-config.ts';
import {findCondition} from '../api/conditions.ts';
import {annotations} from '../api/names.ts';
import {activeCdi, cdiStatus, defaultCdi, isReady} from './cdi.ts';
import {type ConfigPlan, decide, type Observed} from './decide.ts';

const now = '2026-01-01T00:00:00Z';
const storageClasses = [storageClass()];

/** The cluster, as far as this controller writes to it. */
interface World {
	readonly config: CdiConfig | undefined;
	readonly cdis: readonly Cdi[];
}

function perform({config, cdis}: World, plan: ConfigPlan): World {
	switch (plan.do) {
		case 'createConfig':
		case 'updateConfig':
			return {config: plan.config, cdis};
		case 'createCdi':
			return {config, cdis: [...cdis, plan.cdi]};
		case 'deleteCdi':
			return {config, cdis: cdis.filter((each) => each !== plan.cdi)};
		case 'reportCdi':
			return {config, cdis: cdis.map((each) => (each === plan.cdi ? {...each, status: plan.status} : each))};
		default:
			return {config, cdis};
	}
}

/** Until nothing is left to do. */
function run(world: World): {readonly steps: readonly string[]; readonly world: World} {
	const steps: string[] = [];
	for (let round = 0; round < 10; round++) {
		const plan = decide({now, storageClasses, ...world} satisfies Observed);
		if (plan.do === 'nothing') return {steps, world};
		steps.push(plan.do);
		world = perform(world, plan);
	}
	throw new Error(`no end: ${steps.join(', ')}`);
}

const empty: World = {config: undefined, cdis: []};
const nameOf = ({metadata}: Cdi) => metadata.name;

describe('CDIConfig and CDI', () => {
	test('KubeVirt §2: CDIConfig with its status comes before a CDI object, which comes once', () => {
		const {steps, world} = run(empty);
		expect(steps).toEqual(['createConfig', 'createCdi', 'reportCdi']);
		expect(world.config).toMatchObject({
			metadata: {name: 'config'},
			spec: {featureGates: ['HonorWaitForFirstConsumer']},
			status: {filesystemOverhead: {global: '0.06', storageClass: {fast: '0.06'}}},
		});
		expect(world.cdis.map(nameOf)).toEqual(['cdi']);
		expect(world.cdis.every(isReady)).toBe(true);
	});

	test('KubeVirt §2: a CDIConfig that is found without a status gets one before anything else', () => {
		expect(run({config: cdiConfig(), cdis: []}).steps).toEqual(['updateConfig', 'createCdi', 'reportCdi']);
	});

	test('a CDI object of any name is used as it is', () => {
		const own = cdi({name: 'mine', config: {preallocation: true}});
		const {steps, world} = run({config: undefined, cdis: [own]});
		expect(steps).toEqual(['createConfig', 'reportCdi']);
		expect(world.cdis).toMatchObject([{metadata: {name: 'mine'}, spec: own.spec, status: {phase: 'Deployed'}}]);
		expect(world.config).toMatchObject({spec: {preallocation: true}, status: {preallocation: true}});
	});

	test('what CDI left is taken over, without what nobody serves any more', () => {
		const authority = {annotations: {[annotations.configAuthority]: ''}};
		const conditions = [
			{
				type: 'Available',
				status: 'True',
				reason: 'DeployCompleted',
				message: 'Deployment Completed',
				lastTransitionTime: '2020-01-01T00:00:00Z',
			},
		] as const;
		const left = cdi({
			...authority,
			config: {logVerbosity: 3},
			status: {phase: 'Deployed', conditions, observedVersion: 'v1.62.0'},
		});
		const status = {filesystemOverhead: {global: '0.055'}, uploadProxyURL: 'cdi-uploadproxy.example.com'};
		const {world} = run({config: cdiConfig({spec: {preallocation: true}, status}), cdis: [left]});
		expect(world.config?.spec).toEqual({logVerbosity: 3});
		expect(world.config?.status).not.toHaveProperty('uploadProxyURL');
		expect(findCondition(world.cdis[0]?.status?.conditions, 'Available')).toMatchObject(conditions[0]);
	});

	test('the object that was made by default gives way to one that somebody makes', () => {
		const {world} = run(empty);
		const {steps, world: then} = run({...world, cdis: [...world.cdis, cdi({name: 'mine'})]});
		expect(steps).toContain('deleteCdi');
		expect(then.cdis.map(nameOf)).toEqual(['mine']);
	});

	test('of several that people made the oldest counts, and the others say so', () => {
		const [older, newer] = [cdi({name: 'z', created: '2025-01-01T00:00:00Z'}), cdi({name: 'a'})];
		const {world} = run({config: undefined, cdis: [newer, older]});
		const byName = Object.fromEntries(world.cdis.map((each) => [nameOf(each), each]));
		expect(isReady(byName['z'])).toBe(true);
		expect(byName['a']?.status?.phase).toBe('Error');
		expect(findCondition(byName['a']?.status?.conditions, 'Degraded')?.message).toMatch(/^CDI z counts/);
	});

	test('one that is being deleted still counts while there is no other, and none is made beside it', () => {
		const leaving = cdi({deleting: true, config: {preallocation: true}});
		const {steps, world} = run({config: undefined, cdis: [leaving]});
		expect(steps).toEqual(['createConfig']);
		expect(world.config?.spec.preallocation).toBe(true);
		expect(activeCdi([leaving, cdi({name: 'other'})])?.metadata.name).toBe('other');
	});

	test('a class that comes or goes changes the overheads', () => {
		const {world} = run(empty);
		const plan = decide({now, storageClasses: [], ...world});
		expect(plan).toMatchObject({do: 'updateConfig', config: {status: {filesystemOverhead: {storageClass: {}}}}});
	});

	test.each([0, 1, 2])('begun anew after %i writes, it ends the same', (writes) => {
		let world = empty;
		for (let write = 0; write < writes; write++) world = perform(world, decide({now, storageClasses, ...world}));
		expect(run(world).world).toEqual(run(empty).world);
	});
});

test('CDI §13.18: cr_ready is what a CDI object says of itself', () => {
	expect(isReady(undefined)).toBe(false);
	expect(isReady(cdi())).toBe(false);
	expect(isReady({...defaultCdi, status: cdiStatus(defaultCdi, 'cdi', now)})).toBe(true);
	expect(isReady({...defaultCdi, status: cdiStatus(defaultCdi, 'other', now)})).toBe(false);
});
