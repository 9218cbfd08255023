import {expect, test} from 'vitest';
import type {DataObject} from '../kube/resources.ts';
import {Store} from '../kube/store.ts';
import {type ImportProxySettings, importProxyOf, proxySettings} from './import-proxy.ts';

const certificates = {namespace: 'onesnap', name: 'authorities'};
const pem = '-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n';

function proxyWith(settings: ImportProxySettings, data?: Record<string, string>) {
	const store = new Store<DataObject>({});
	if (data) store.set({apiVersion: 'v1', kind: 'ConfigMap', metadata: certificates, data});
	return importProxyOf(settings, {store: () => store as never});
}

test('no proxy where none is set, whatever else is', () => {
	expect(proxyWith({noProxy: 'a', certificates})).toBeUndefined();
});

test('certificates are those of the ConfigMap at the time, and without them there is a problem', () => {
	const settings = {http: 'proxy:3128', certificates};
	expect(proxyWith({http: 'proxy:3128', noProxy: 'a'})).toEqual({http: 'http://proxy:3128/', noProxy: 'a'});
	expect(proxyWith(settings, {'ca.crt': pem})).toEqual({http: 'http://proxy:3128/', certificates: pem});
	expect(proxyWith(settings)?.problem?.message).toMatch(/^ConfigMap onesnap\/authorities .* does not exist$/);
	expect(proxyWith(settings, {'ca.crt': ''})?.problem).toEqual({
		reason: 'ProxyCertificatesMissing',
		message: expect.stringMatching(/has no PEM certificate$/),
	});
});

test('a URL that is none is a problem, and not repeated', () => {
	const problem = proxyWith({https: 'http://me:secret@'})?.problem;
	expect(problem?.reason).toBe('ImportProxyNotValid');
	expect(problem?.message).not.toContain('secret');
});

test.each([
	[
		{HTTPProxy: 'http://a:1', noProxy: 'b'},
		{http: 'http://a:1', noProxy: 'b'},
	],
	[{HTTPSProxy: 'http://a:1', HTTPProxy: '', noProxy: ''}, {https: 'http://a:1'}],
	[
		{HTTPProxy: 'a', trustedCAProxy: 'authorities'},
		{http: 'a', certificates},
	],
])('CDIConfig says the same in its own words: %o', (config, settings) => {
	expect(proxySettings(config, 'onesnap')).toEqual(settings);
});
