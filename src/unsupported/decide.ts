/** What is said of objects of a kind that is served and not carried out. Pure. */
import {type Condition, upsertCondition} from '../api/conditions.ts';
import type {DataImportCron} from '../api/data-import-cron.ts';

export interface Observed {
	readonly cron: DataImportCron | undefined;
	/** RFC 3339 */
	readonly now: string;
}

export type UnsupportedPlan =
	| {readonly do: 'nothing'}
	| {readonly do: 'report'; readonly cron: DataImportCron; readonly conditions: readonly Condition[]};

/** CDI's conditions of a DataImportCron; what waits for one of them must not take this for "not yet". */
const types = ['Progressing', 'UpToDate'] as const;

function messageOf({spec: {managedDataSource}}: DataImportCron): string {
	return (
		'DataImportCrons are not supported yet: nothing is imported, now or on schedule. Import the image with a DataVolume ' +
		`and let DataSource ${managedDataSource} point to its claim`
	);
}

export function decide({cron, now}: Observed): UnsupportedPlan {
	if (!cron || cron.metadata.deletionTimestamp) return {do: 'nothing'};
	const before = cron.status?.conditions ?? [];
	const conditions = types.reduce<readonly Condition[]>((list, type) => {
		const news = {type, status: 'False', reason: 'NotSupported', message: messageOf(cron)} as const;
		return upsertCondition(list, news, now);
	}, before);
	return conditions === before ? {do: 'nothing'} : {do: 'report', cron, conditions};
}
