import {describe, expect, test} from 'vitest';
import {parseProxyUrl} from '../../api/import-proxy.ts';
import {chooseProxy} from './proxy-choice.ts';

const proxies = {http: 'http://proxy:3128', https: 'https://me:secret@proxy:3129'};

test('the scheme of the source chooses the proxy', () => {
	expect(chooseProxy(new URL('http://host/disk'), proxies)?.href).toBe('http://proxy:3128/');
	expect(chooseProxy(new URL('https://host/disk'), proxies)?.port).toBe('3129');
	expect(chooseProxy(new URL('https://host/disk'), {http: proxies.http})).toBeUndefined();
});

test('a proxy without a scheme is http, and what is no proxy is not repeated', () => {
	expect(parseProxyUrl('proxy.example.com:3128').href).toBe('http://proxy.example.com:3128/');
	expect(() => parseProxyUrl('socks5://me:secret@proxy')).toThrow(/^http:\/\/host:port or https:\/\/host:port$/);
	expect(() => parseProxyUrl('http://')).toThrow(/host:port/);
});

/** Taken from the rules of golang.org/x/net/http/httpproxy. */
describe('no_proxy', () => {
	test.each([
		['*', 'http://anything.example/', true],
		['example.com', 'http://example.com/', true],
		['example.com', 'http://deep.sub.example.com/', true],
		['example.com', 'http://badexample.com/', false],
		['.example.com', 'http://example.com/', false],
		['.example.com', 'http://sub.example.com/', true],
		['*.example.com', 'http://example.com/', false],
		['*.example.com', 'http://sub.example.com/', true],
		['EXAMPLE.com', 'http://Example.COM/', true],
		['other.org, example.com ,', 'http://example.com/', true],
		['example.com:8080', 'http://example.com:8080/', true],
		['example.com:8080', 'http://sub.example.com:8080/', true],
		['example.com:8080', 'http://example.com/', false],
		['example.com:80', 'http://example.com/', true],
		['example.com:443', 'https://example.com/', true],
		['10.0.0.0/8', 'http://10.20.30.40:9000/', true],
		['10.0.0.0/8', 'http://11.20.30.40/', false],
		['10.0.0.0/8', 'http://ten.example/', false],
		['10.0.0.0/99', 'http://10.0.0.1/', false],
		['192.0.2.7', 'http://192.0.2.7/', true],
		['192.0.2.7', 'http://192.0.2.70/', false],
		['192.0.2.7:81', 'http://192.0.2.7/', false],
		['192.0.2.7:81', 'http://192.0.2.7:81/', true],
		['2001:db8::/32', 'http://[2001:db8::1]/', true],
		['2001:db8::1', 'http://[2001:db8:0::1]/', true],
		['[2001:db8::1]:8080', 'http://[2001:db8::1]:8080/', true],
		['[2001:db8::1]:8080', 'http://[2001:db8::1]/', false],
		['', 'http://example.com/', false],
		[':80', 'http://example.com/', false],
		['', 'http://localhost:8000/', true],
		['', 'http://127.0.0.2/', true],
		['', 'http://[::1]/', true],
	])('%s and %s', (noProxy, url, isDirect) => {
		expect(chooseProxy(new URL(url), {...proxies, noProxy}) === undefined).toBe(isDirect);
	});
});
