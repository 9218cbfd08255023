import {expect, test} from 'vitest';
import {pod} from '../../test/support/builders.ts';
import {copyKeyBytes} from '../api/worker-contract.ts';
import type {DataObject} from '../kube/resources.ts';
import {CopyKeys} from './copy-keys.ts';

const secret = (name: string, namespace = 'ns'): DataObject => ({
	apiVersion: 'v1',
	kind: 'Secret',
	metadata: {name, namespace},
});
const sender = {
	...pod(),
	spec: {
		...pod().spec,
		volumes: [
			{name: 'source', persistentVolumeClaim: {claimName: 'golden'}},
			{name: 'copy-key', secret: {secretName: 'a'}},
			{name: 'other', secret: {secretName: 'other'}},
		],
	},
};

test('both Secrets of a copy have one name and one key, and the sender mounts it', () => {
	const {pod: made, keys} = new CopyKeys().complete(sender, [secret('a'), secret('a', 'elsewhere')]);
	const [here, there] = keys;
	expect(Buffer.from(here?.data?.['key'] ?? '', 'base64')).toHaveLength(copyKeyBytes);
	expect(there?.data).toEqual(here?.data);
	expect(keys.map(({metadata}) => metadata.namespace)).toEqual(['ns', 'elsewhere']);
	expect(there?.metadata.name).toBe(here?.metadata.name);
	const [source, key, other] = sender.spec.volumes;
	expect(made.spec.volumes).toEqual([source, {...key, secret: {secretName: here?.metadata.name}}, other]);
});

test('another copy has another key, a second try the same, and another process others under other names', () => {
	const [keys, others] = [new CopyKeys(), new CopyKeys()];
	const of = (by: CopyKeys, name: string) => by.complete(sender, [secret(name)]).keys[0];
	expect(of(keys, 'a')).toEqual(of(keys, 'a'));
	expect(of(keys, 'b')?.data).not.toEqual(of(keys, 'a')?.data);
	expect(of(others, 'a')?.data).not.toEqual(of(keys, 'a')?.data);
	expect(of(others, 'a')?.metadata.name).not.toBe(of(keys, 'a')?.metadata.name);
});
