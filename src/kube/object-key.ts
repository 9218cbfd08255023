import type {KubeObject} from '../api/kubernetes.ts';
import type {ObjectKey} from './client.ts';

/** `namespace/name`, or `name` for cluster-scoped objects: the form of keys in queues, stores and logs. */
export function keyOf({metadata}: Pick<KubeObject, 'metadata'>): string {
	return makeKey(metadata.namespace, metadata.name);
}

export function makeKey(namespace: string | undefined, name: string): string {
	return namespace ? `${namespace}/${name}` : name;
}

/** Inverse of makeKey; fits KubeApi's `key` parameters. */
export function parseKey(key: string): ObjectKey {
	const slash = key.indexOf('/');
	return slash === -1 ? {name: key} : {namespace: key.slice(0, slash), name: key.slice(slash + 1)};
}
