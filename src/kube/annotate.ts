import type {KubeObject} from '../api/kubernetes.ts';
import {fieldManager} from '../api/names.ts';
import type {KubeApi} from './client.ts';
import {isConflict, isNotFound} from './errors.ts';
import type {Resource} from './resources.ts';

export interface Marks {
	readonly annotations: Readonly<Record<string, string>>;
	readonly labels?: Readonly<Record<string, string>>;
}

/** On this very object; one that is gone, or a namesake made later, needs it no more. */
export async function annotateExactly<T extends KubeObject>(
	api: Pick<KubeApi, 'mergePatch'>,
	resource: Resource<T>,
	{metadata}: T,
	/** What is left out of it stays. */
	marks: Marks,
	signal: AbortSignal,
): Promise<void> {
	try {
		await api.mergePatch<KubeObject>(resource, metadata, {metadata: marks}, {uid: metadata.uid, fieldManager, signal});
	} catch (error) {
		if (!isNotFound(error) && !isConflict(error)) throw error;
	}
}
