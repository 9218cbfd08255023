import type {KubeObject} from '../api/kubernetes.ts';
import type {KubeApi} from './client.ts';
import {isAlreadyExists} from './errors.ts';
import type {Resource} from './resources.ts';
import {fieldManager} from '../api/names.ts';

/**
 * Creates an object whose name derives from its owner's UID. False where it exists already: a repeat after a crash, or a
 * cache that has not shown it yet. Whether it is really ours is for the next observation to see.
 */
export async function createOnce<T extends KubeObject>(
	api: Pick<KubeApi, 'create'>,
	resource: Resource<T>,
	object: T,
	signal: AbortSignal,
): Promise<boolean> {
	try {
		await api.create(resource, object, {fieldManager, signal});
		return true;
	} catch (error) {
		if (isAlreadyExists(error)) return false;
		throw error;
	}
}
