/** The model's server with one client and one set of watches, for tests of one part. */
import type {KubeObject} from '../../../src/api/kubernetes.ts';
import type {KubeApi} from '../../../src/kube/client.ts';
import type {Resource} from '../../../src/kube/resources.ts';
import {makeModelApi} from './client.ts';
import {makeNamespace} from './cluster-controllers.ts';
import {ModelServer} from './server.ts';
import {WatchedCaches} from './watched-caches.ts';

export class ModelApiServer extends ModelServer {
	readonly api: KubeApi;
	readonly memory: {readonly caches: WatchedCaches};

	constructor() {
		super(
			() => Date.UTC(2026, 0, 1),
			() => {},
		);
		this.api = makeModelApi(this, async (write) => write());
		this.memory = {caches: new WatchedCaches(this)};
	}

	/** In a namespace that is made on the way. */
	override create<T extends KubeObject>(resource: Resource<T>, object: T): T {
		const {namespace} = object.metadata;
		if (namespace !== undefined) makeNamespace(this, namespace);
		return super.create(resource, object);
	}

	deliverAll(): void {
		this.memory.caches.deliverAll();
	}
}
