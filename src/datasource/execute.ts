/** The report of a DataSource as one merge patch: nothing but what it is about is touched. */
import type {DataSourceStatus} from '../api/data-source.ts';
import {fieldManager} from '../api/names.ts';
import type {KubeApi} from '../kube/client.ts';
import {isNotFound} from '../kube/errors.ts';
import * as resources from '../kube/resources.ts';
import type {DataSourcePlan} from './decide.ts';

/** Members that were there and are not any more are null, which removes them. */
function statusPatch(before: DataSourceStatus | undefined, {source, conditions}: DataSourceStatus): object {
	const removed = Object.keys(before?.source ?? {}).map((kind) => [kind, null]);
	return {source: source ? {...Object.fromEntries(removed), ...source} : null, conditions};
}

/** @throws a conflict where the object is newer than the one that was looked at: what was found may not be true of it. */
export async function execute(
	{api, signal}: {readonly api: Pick<KubeApi, 'mergePatch'>; readonly signal: AbortSignal},
	plan: DataSourcePlan,
): Promise<void> {
	if (plan.do === 'nothing') return;
	const {dataSource, status, labels} = plan;
	const {uid, resourceVersion} = dataSource.metadata;
	const patch: object = {
		...(Object.keys(labels).length > 0 && {metadata: {labels}}),
		status: statusPatch(dataSource.status, status),
	};
	try {
		await api.mergePatch(resources.dataSources, dataSource.metadata, patch, {
			...{uid, resourceVersion, fieldManager, signal},
		});
	} catch (error) {
		if (!isNotFound(error)) throw error;
	}
}
