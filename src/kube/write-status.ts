import {isDeepStrictEqual} from 'node:util';
import {fieldManager} from '../api/names.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import type {KubeApi, MergePatch} from './client.ts';
import {isConflict, isNotFound} from './errors.ts';
import type {Resource} from './resources.ts';

/**
 * Makes the whole status what it should be, in one merge patch: what is no longer in it is set to null. Resolves to the
 * object as it is then; to undefined where nothing was written: it was so already, or the object is gone.
 */
export async function writeStatus<Status extends object, T extends KubeObject & {readonly status?: Status}>(
	api: Pick<KubeApi, 'mergePatchStatus'>,
	resource: Resource<T>,
	object: T,
	status: Status,
	signal: AbortSignal,
): Promise<T | undefined> {
	const before: object = object.status ?? {};
	if (isDeepStrictEqual(before, status)) return undefined;
	const removed = Object.fromEntries(
		Object.keys(before)
			.filter((name) => !(name in status))
			.map((name) => [name, null]),
	);
	try {
		const patch: object = {status: {...removed, ...status}};
		return await api.mergePatchStatus(resource, object.metadata, patch as MergePatch<T>, {
			uid: object.metadata.uid,
			fieldManager,
			signal,
		});
	} catch (error) {
		if (isNotFound(error) || isConflict(error)) return undefined;
		throw error;
	}
}
