import type {KubeObject} from '../api/kubernetes.ts';
import {fieldManager} from '../api/names.ts';
import type {KubeApi} from './client.ts';
import {isConflict, isNotFound} from './errors.ts';
import type {Resource} from './resources.ts';

/** On this very object; one that is gone, or a namesake made later, needs it no more. */
export async function annotateExactly<T extends KubeObject>(
	api: Pick<KubeApi, 'mergePatch'>,
	resource: Resource<T>,
	{metadata}: T,
	values: Readonly<Record<string, string>>,
	signal: AbortSignal,
): Promise<void> {
	const patch = {metadata: {annotations: values}};
	try {
		await api.mergePatch<KubeObject>(resource, metadata, patch, {uid: metadata.uid, fieldManager, signal});
	} catch (error) {
		if (!isNotFound(error) && !isConflict(error)) throw error;
	}
}
