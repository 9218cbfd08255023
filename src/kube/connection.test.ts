import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {expect, onTestFinished, test} from 'vitest';
import {ManualClock} from '../process/manual-clock.ts';
import {connect, connectTo} from './connection.ts';

async function makeKubeconfig(user: object, cluster: object = {}): Promise<string> {
	const dir = await mkdtemp(path.join(tmpdir(), 'onesnap-connection-'));
	onTestFinished(() => rm(dir, {recursive: true}));
	const file = path.join(dir, 'config');
	const config = {
		apiVersion: 'v1',
		kind: 'Config',
		'current-context': 'here',
		contexts: [{name: 'here', context: {cluster: 'c', user: 'u', namespace: 'home'}}],
		clusters: [{name: 'c', cluster: {server: 'https://example.invalid:6443/prefix', ...cluster}}],
		users: [{name: 'u', user}],
	};
	await writeFile(file, JSON.stringify(config));
	return file;
}

test('knows the server, the namespace and a token', async () => {
	const connection = connect(await makeKubeconfig({token: 'abc'}));
	expect(connection.server.href).toBe('https://example.invalid:6443/prefix');
	expect(connection.namespace).toBe('home');
	expect(await connection.credentials()).toMatchObject({headers: {Authorization: 'Bearer abc'}, tls: {}});
});

test('brings client certificates and the CA', async () => {
	const base64 = (text: string) => Buffer.from(text).toString('base64');
	const user = {'client-certificate-data': base64('cert'), 'client-key-data': base64('key')};
	const connection = connect(await makeKubeconfig(user, {'certificate-authority-data': base64('ca')}));
	const {tls, headers} = await connection.credentials();
	expect(headers).toEqual({});
	expect(tls).toEqual({ca: Buffer.from('ca'), cert: Buffer.from('cert'), key: Buffer.from('key')});
});

test('asks an exec plugin', async () => {
	const status = {token: 'from-plugin', expirationTimestamp: '2999-01-01T00:00:00Z'};
	const credential = JSON.stringify({apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status});
	const exec = {apiVersion: 'client.authentication.k8s.io/v1', command: 'echo', args: [credential]};
	const connection = connect(await makeKubeconfig({exec}));
	expect((await connection.credentials()).headers).toEqual({Authorization: 'Bearer from-plugin'});
});

test('keeps credentials for half a minute, or until they are rejected', async () => {
	const clock = new ManualClock();
	const connection = connect(await makeKubeconfig({token: 'abc'}), clock);
	const first = await connection.credentials();
	await clock.advance(29_000);
	expect(await connection.credentials()).toBe(first);
	await clock.advance(1000);
	const second = await connection.credentials();
	expect(second).not.toBe(first);
	connection.rejected();
	expect(await connection.credentials()).not.toBe(second);
});

test('a plugin that fails once is asked again', async () => {
	const exec = {apiVersion: 'client.authentication.k8s.io/v1', command: 'false'};
	const connection = connect(await makeKubeconfig({exec}));
	await expect(connection.credentials()).rejects.toThrow(
		'no credentials for https://example.invalid:6443/prefix as "u"',
	);
	await expect(connection.credentials()).rejects.toThrow(
		'no credentials for https://example.invalid:6443/prefix as "u"',
	);
});

test('takes another context, cluster and user, keeping the namespace, and acts as somebody', async () => {
	const kubeconfig = await makeKubeconfig({token: 'abc'});
	expect(connectTo({kubeconfig}).namespace).toBe('home');
	const connection = connectTo({kubeconfig, context: 'here', cluster: 'c', user: 'u', as: 'jane'});
	expect(connection.server.href).toBe('https://example.invalid:6443/prefix');
	expect(connection.namespace).toBe('home');
	expect((await connection.credentials()).headers).toEqual({
		Authorization: 'Bearer abc',
		'Impersonate-User': 'jane',
	});
});

test.each(['context', 'cluster', 'user'])(
	'says which %s the kubeconfig has, where it has not the one asked for',
	async (what) => {
		const kubeconfig = await makeKubeconfig({token: 'abc'});
		expect(() => connectTo({kubeconfig, [what]: 'there'})).toThrow(
			new RegExp(`^the kubeconfig has no ${what} "there"; it has: `),
		);
	},
);
