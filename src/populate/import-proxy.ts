/** The proxies of imports: CDIConfig's where it names any, else the controller's own settings. */
import type {ImportProxyConfig} from '../api/cdi-config.ts';
import {parseProxyUrl, type ProxySettings} from '../api/import-proxy.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import type {ImportProxy} from './objects.ts';

export interface ImportProxySettings extends ProxySettings {
	/** ConfigMap with PEM certificates of the authorities of proxies, any key. It must be cached. */
	readonly certificates?: {readonly namespace: string; readonly name: string} | undefined;
}

/** @param namespace the controller's own, where the ConfigMap is */
export function proxySettings(
	{HTTPProxy: http, HTTPSProxy: https, noProxy, trustedCAProxy}: ImportProxyConfig,
	namespace: string,
): ImportProxySettings {
	return {
		...(http && {http}),
		...(https && {https}),
		...(noProxy && {noProxy}),
		...(trustedCAProxy && {certificates: {namespace, name: trustedCAProxy}}),
	};
}

/** Undefined where it is none. The text is not repeated: there may be a password in it. */
function readUrl(text: string | undefined): string | undefined {
	if (text === undefined) return undefined;
	try {
		return parseProxyUrl(text).href;
	} catch {
		return undefined;
	}
}

/** As things are now. Undefined where no proxy is set. */
export function importProxyOf(
	{http, https, noProxy, certificates}: ImportProxySettings,
	caches: Pick<Caches, 'store'>,
): ImportProxy | undefined {
	if (http === undefined && https === undefined) return undefined;
	const [httpUrl, httpsUrl] = [readUrl(http), readUrl(https)];
	const isRead = (http === undefined || httpUrl !== undefined) && (https === undefined || httpsUrl !== undefined);
	if (!isRead) {
		const message = 'A URL of the import proxy in CDIConfig is none: it must be http://host:port or https://host:port';
		return {problem: {reason: 'ImportProxyNotValid', message}};
	}
	const proxies = {
		...(httpUrl !== undefined && {http: httpUrl}),
		...(httpsUrl !== undefined && {https: httpsUrl}),
		...(noProxy !== undefined && {noProxy}),
	};
	if (!certificates) return proxies;
	const {namespace, name} = certificates;
	const found = caches.store(resources.configMaps).get(namespace, name);
	const pem = Object.values(found?.data ?? {}).join('\n');
	if (pem.includes('-----BEGIN CERTIFICATE-----')) return {...proxies, certificates: pem};
	const what = found ? 'has no PEM certificate' : 'does not exist';
	const message = `ConfigMap ${namespace}/${name} with the authorities of the import proxy ${what}`;
	return {...proxies, problem: {reason: 'ProxyCertificatesMissing', message}};
}
