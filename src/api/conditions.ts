/**
 * Conditions as CDI writes them: metav1.Condition's fields less observedGeneration, plus `lastHeartbeatTime`.
 * `lastTransitionTime` moves only when the status changes, `lastHeartbeatTime` also when reason or message do.
 */
export interface Condition {
	readonly type: string;
	readonly status: 'True' | 'False' | 'Unknown';
	readonly reason?: string;
	readonly message?: string;
	readonly lastTransitionTime?: string;
	readonly lastHeartbeatTime?: string;
}

export type ConditionNews = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** The list with `news` in it, in place where the type was known; the same list where nothing changed. */
export function upsertCondition(
	conditions: readonly Condition[],
	news: ConditionNews,
	now: string,
): readonly Condition[] {
	const index = conditions.findIndex((condition) => condition.type === news.type);
	const before = conditions[index];
	const wanted = {...news, reason: news.reason ?? '', message: news.message ?? ''};
	if (!before) return [...conditions, {...wanted, lastTransitionTime: now, lastHeartbeatTime: now}];
	const sameStatus = before.status === wanted.status;
	const sameText = (before.reason ?? '') === wanted.reason && (before.message ?? '') === wanted.message;
	if (sameStatus && sameText) return conditions;
	const lastTransitionTime = sameStatus ? (before.lastTransitionTime ?? now) : now;
	return conditions.with(index, {...wanted, lastTransitionTime, lastHeartbeatTime: now});
}

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
	return conditions?.find((condition) => condition.type === type);
}
