/** Which proxy, if any, a request goes through. The rules are those of Go's net/http/httpproxy, which CDI has. Pure. */
import {BlockList, isIP} from 'node:net';
import {parseProxyUrl, type ProxySettings} from '../../api/import-proxy.ts';

/** Undefined: ask the host directly. Throws where the proxy's own URL is none. */
export function chooseProxy(url: URL, settings: ProxySettings): URL | undefined {
	const text = url.protocol === 'https:' ? settings.https : settings.http;
	if (text === undefined || text === '') return undefined;
	const host = withoutBrackets(url.hostname);
	if (isLoopback(host) || isExempt(host, portOf(url), settings.noProxy ?? '')) return undefined;
	return parseProxyUrl(text);
}

export function portOf(url: URL): number {
	if (url.port !== '') return Number(url.port);
	return url.protocol === 'https:' ? 443 : 80;
}

export function withoutBrackets(host: string): string {
	return host.startsWith('[') ? host.slice(1, -1) : host;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
	return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** Never behind a proxy, whatever the settings say. */
function isLoopback(host: string): boolean {
	if (host === 'localhost' || host === '::1') return true;
	return isIP(host) === 4 && host.startsWith('127.');
}

function isExempt(host: string, port: number, noProxy: string): boolean {
	return noProxy.split(',').some((entry) => matches(entry.trim().toLowerCase(), host, port));
}

/**
 * One entry: `*`; a network (10.0.0.0/8); an address or a domain, each also with a port. `example.com` is the domain and
 * all below it, `.example.com` and `*.example.com` only what is below. Names are not resolved: networks match addresses.
 */
function matches(entry: string, host: string, port: number): boolean {
	if (entry === '') return false;
	if (entry === '*') return true;
	const network = /^([^/]+)\/(\d{1,3})$/.exec(entry);
	if (network) return isIP(host) > 0 && isInNetwork(host, {network: network[1] ?? '', prefix: Number(network[2])});
	const {name, onlyPort} = splitPort(entry);
	if (name === '' || (onlyPort !== undefined && onlyPort !== port)) return false;
	if (isIP(name) > 0) return isIP(host) > 0 && isInNetwork(host, {network: name, prefix: isIP(name) === 6 ? 128 : 32});
	const suffix = name.startsWith('*.') ? name.slice(1) : name;
	return suffix.startsWith('.') ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`);
}

function isInNetwork(address: string, {network, prefix}: {network: string; prefix: number}): boolean {
	if (isIP(network) === 0 || prefix > (isIP(network) === 6 ? 128 : 32)) return false;
	const list = new BlockList();
	list.addSubnet(network, prefix, familyOf(network));
	return list.check(address, familyOf(address));
}

function splitPort(entry: string): {name: string; onlyPort: number | undefined} {
	if (isIP(entry) > 0) return {name: entry, onlyPort: undefined};
	const [, host = entry, port] = /^(.*):(\d+)$/.exec(entry) ?? [];
	return {name: withoutBrackets(host), onlyPort: port === undefined ? undefined : Number(port)};
}
