/** The cluster that a command talks to. */
import {KubeClient} from '../kube/client.ts';
import {connectTo} from '../kube/connection.ts';
import type {ConnectionValues} from './connection-flags.ts';

export interface Cluster extends Disposable {
	readonly api: KubeClient;
	/** That the command is about, unless an argument names another one. */
	readonly namespace: string;
}

/** Throws an Error in words where the kubeconfig has not what was asked for. Asks the server nothing. */
export function openCluster(values: ConnectionValues): Cluster {
	const {kubeconfig, context, cluster, user, as, 'request-timeout': timeoutMs} = values;
	const connection = connectTo({kubeconfig, context, cluster, user, as});
	const api = new KubeClient({
		connection,
		fieldManager: 'kubectl-dv',
		userAgent: 'kubectl-dv',
		// As kubectl: 0 is no limit.
		...(timeoutMs !== undefined && {timeoutMs: timeoutMs === 0 ? 2 ** 31 - 1 : timeoutMs}),
	});
	return {
		api,
		namespace: values.namespace ?? connection.namespace ?? 'default',
		[Symbol.dispose]: () => api.close(),
	};
}
