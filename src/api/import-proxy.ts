/** Proxies that imports go through: fields as in `spec.config.importProxy` of CDI, but for the case of their names. Pure. */

export interface ProxySettings {
	/** URL of the proxy for http sources; without a scheme it is http. */
	readonly http?: string;
	/** The same for https sources. */
	readonly https?: string;
	/** Hosts that are asked directly, separated by commas. */
	readonly noProxy?: string;
}

/** Throws an Error whose message completes "must be …" and does not repeat the text: there may be a password in it. */
export function parseProxyUrl(text: string): URL {
	const url = URL.parse(/^[a-z0-9+.-]+:\/\//i.test(text) ? text : `http://${text}`);
	if (url?.hostname && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
	throw new TypeError('http://host:port or https://host:port');
}
