import {describe, expect, test} from 'vitest';
import {claim, pod} from '../../test/support/builders.ts';
import {ApiError} from '../kube/errors.ts';
import type {PopulatePlan} from './decide.ts';
import {refusalOf, Refusals, unlessRefused} from './refusals.ts';

const answer = (code: number, message: string) => new ApiError({method: 'POST', path: '/pods'}, {code, message});
const quota = 'pods "x" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0';
const createClaim: PopulatePlan = {do: 'createClaim', claim: claim()};
const createWorker: PopulatePlan = {do: 'createWorker', pod: pod()};

describe('what the API server says to a plan', () => {
	test.each<[string, PopulatePlan, unknown, string | undefined]>([
		['a quota', createWorker, answer(403, quota), 'ErrExceededQuota'],
		['a quota on claims', createClaim, answer(403, quota), 'ErrExceededQuota'],
		['a policy about Pods', createWorker, answer(403, 'no'), 'ErrStartingPod'],
		['a policy about claims', createClaim, answer(422, 'no'), 'ErrCreatingPVCPrime'],
		['a server that is busy', createWorker, answer(429, 'later'), undefined],
		['something else', createWorker, new Error('reset'), undefined],
		['something about another plan', {do: 'nothing'}, answer(403, 'no'), undefined],
	])('%s', (_, plan, error, reason) => {
		expect(refusalOf(plan, error)?.reason).toBe(reason);
	});

	test('is news once, until it is forgotten', () => {
		const refusals = new Refusals();
		const refusal = {reason: 'ErrStartingPod', message: 'no'} as const;
		expect(refusals.forget('uid')).toBe(false);
		expect(refusals.remember('uid', refusal)).toBe(true);
		expect(refusals.remember('uid', {...refusal})).toBe(false);
		expect(refusals.remember('uid', {...refusal, message: 'never'})).toBe(true);
		expect(refusals.of('uid')).toEqual({...refusal, message: 'never'});
		expect(refusals.forget('uid')).toBe(true);
		expect(refusals.of('uid')).toBeUndefined();
	});

	test('stands for the plan that it was said to, and for no other', () => {
		const refusal = {reason: 'ErrStartingPod', message: 'no'} as const;
		expect(unlessRefused(createWorker, refusal)).toEqual({do: 'wait', ...refusal});
		expect(unlessRefused(createWorker, undefined)).toBe(createWorker);
		expect(unlessRefused({do: 'nothing'}, refusal)).toEqual({do: 'nothing'});
	});
});
