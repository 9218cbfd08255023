/** What worker Pods are made with, as it is now: CDIConfig and CDI, then the controller's own settings. */
import {clusterSettings} from '../cdiconfig/settings.ts';
import type {Caches} from '../kube/caches.ts';
import {importProxyOf, type ImportProxySettings, proxySettings} from './import-proxy.ts';
import type {WorkerSettings} from './objects.ts';

/** Of the controller. Pull secrets and proxies count where CDIConfig names none. */
export interface OwnSettings {
	readonly image: string;
	/** Of the controller, where ConfigMaps with the authorities of proxies are. */
	readonly namespace: string;
	readonly imagePullSecrets: readonly string[];
	readonly importProxy: ImportProxySettings;
}

/** Asked each time: settings, and what is trusted, change while the controller runs. */
export function workerSettings(own: OwnSettings, caches: Pick<Caches, 'store'>): WorkerSettings {
	const {hasGate, imagePullSecrets, importProxy, ...cluster} = clusterSettings(caches);
	const {overheadOf, resources, placement, preallocation} = cluster;
	return {
		image: own.image,
		...{overheadOf, resources, placement, preallocation},
		honorsFirstConsumer: hasGate('HonorWaitForFirstConsumer'),
		imagePullSecrets: imagePullSecrets.length > 0 ? imagePullSecrets : own.imagePullSecrets,
		importProxy: importProxyOf(importProxy ? proxySettings(importProxy, own.namespace) : own.importProxy, caches),
	};
}
