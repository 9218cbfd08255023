/**
 * What the API server refused to have made for a target: a quota, an admission policy. Nothing in the API tells it to the
 * others, so it is remembered here until it is made; whoever restarts asks again.
 */
import {ApiError, isExceededQuota} from '../kube/errors.ts';
import type {PopulatePlan} from './decide.ts';

export interface Refusal {
	readonly reason: 'ErrExceededQuota' | 'ErrCreatingPVCPrime' | 'ErrStartingPod';
	/** The server's sentence. */
	readonly message: string;
}

/** Undefined where the same may succeed in the next round. */
export function refusalOf(plan: PopulatePlan, error: unknown): Refusal | undefined {
	if (plan.do !== 'createClaim' && plan.do !== 'createWorker') return undefined;
	if (!(error instanceof ApiError) || (error.code !== 403 && error.code !== 422)) return undefined;
	const {statusMessage: message} = error;
	if (isExceededQuota(error)) return {reason: 'ErrExceededQuota', message};
	return {reason: plan.do === 'createClaim' ? 'ErrCreatingPVCPrime' : 'ErrStartingPod', message};
}

export class Refusals {
	readonly #byUid = new Map<string, Refusal>();

	/** By UID of the target. */
	of(targetUid: string): Refusal | undefined {
		return this.#byUid.get(targetUid);
	}

	/** False where the same was remembered already. */
	remember(targetUid: string, refusal: Refusal): boolean {
		const before = this.#byUid.get(targetUid);
		this.#byUid.set(targetUid, refusal);
		return before?.reason !== refusal.reason || before.message !== refusal.message;
	}

	/** True where there was something to forget. */
	forget(targetUid: string): boolean {
		return this.#byUid.delete(targetUid);
	}
}

/** A plan that was refused is waited with. */
export function unlessRefused(plan: PopulatePlan, refusal: Refusal | undefined): PopulatePlan {
	const isMade = plan.do === 'createClaim' || plan.do === 'createWorker';
	return refusal && isMade ? {do: 'wait', ...refusal} : plan;
}
