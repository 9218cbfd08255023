/** The proxies of imports, from the controller's own settings. CDI's `spec.config.importProxy` gives the same value. */
import {parseProxyUrl, type ProxySettings} from '../api/import-proxy.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import type {ImportProxy} from './objects.ts';

export interface ImportProxySettings extends ProxySettings {
	/** ConfigMap with PEM certificates of the authorities of proxies, any key. It must be cached. */
	readonly certificates?: {readonly namespace: string; readonly name: string} | undefined;
}

/** As things are now. Undefined where no proxy is set. */
export function importProxyOf(
	{http, https, noProxy, certificates}: ImportProxySettings,
	caches: Pick<Caches, 'store'>,
): ImportProxy | undefined {
	if (http === undefined && https === undefined) return undefined;
	const proxies = {
		...(http !== undefined && {http: parseProxyUrl(http).href}),
		...(https !== undefined && {https: parseProxyUrl(https).href}),
		...(noProxy !== undefined && {noProxy}),
	};
	if (!certificates) return proxies;
	const {namespace, name} = certificates;
	const found = caches.store(resources.configMaps).get(namespace, name);
	const pem = Object.values(found?.data ?? {}).join('\n');
	if (pem.includes('-----BEGIN CERTIFICATE-----')) return {...proxies, certificates: pem};
	const what = found ? 'has no PEM certificate' : 'does not exist';
	return {...proxies, problem: `ConfigMap ${namespace}/${name} with the authorities of the import proxy ${what}`};
}
