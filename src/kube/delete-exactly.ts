import type {KubeObject} from '../api/kubernetes.ts';
import type {KubeApi} from './client.ts';
import {isConflict} from './errors.ts';
import type {Resource} from './resources.ts';

/** Deletes this very object. One of the same name that was made later is not meant, and one that is gone is fine. */
export async function deleteExactly<T extends KubeObject>(
	api: Pick<KubeApi, 'delete'>,
	resource: Resource<T>,
	{metadata}: T,
	signal: AbortSignal,
): Promise<void> {
	try {
		await api.delete(resource, metadata, {uid: metadata.uid, propagationPolicy: 'Background', signal});
	} catch (error) {
		if (!isConflict(error)) throw error;
	}
}
