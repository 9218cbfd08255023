/** The part of KubeApi that the sharing protocol uses, over the model's server. */
import type {KubeApi} from '../../../src/kube/client.ts';
import {type ModelServer, refusal} from './server.ts';

/** Carries a write out, or not, or does not tell. */
export type Attempt = <A>(write: () => A) => Promise<A>;

const unused = () => {
	throw new Error('the model has no such request');
};

export function makeModelApi(server: ModelServer, attempt: Attempt): KubeApi {
	const patch: KubeApi['mergePatch'] = (resource, key, change, options) =>
		attempt(() => server.patch(resource, key, change, options));
	return {
		get: async (resource, key) => {
			const object = server.get(resource, key);
			if (!object) throw refusal(404, 'NotFound');
			return object;
		},
		find: async (resource, key) => server.get(resource, key),
		create: (resource, object) => attempt(() => server.create(resource, object)),
		mergePatch: patch,
		mergePatchStatus: patch,
		delete: (resource, key, options) => attempt(() => server.delete(resource, key, options)),
		list: async (resource, {labelSelector, limit} = {}) => {
			const [label = '', value] = labelSelector?.split('=', 2) ?? [];
			const items = server
				.list(resource)
				.filter(({metadata}) => labelSelector === undefined || metadata.labels?.[label] === value);
			return {items: items.slice(0, limit), resourceVersion: String(server.revision)};
		},
		update: unused,
		jsonPatch: unused,
		apply: unused,
		applyStatus: unused,
		watch: unused,
		post: unused,
	};
}
