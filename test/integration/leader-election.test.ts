import {expect, onTestFinished, test, vi} from 'vitest';
import type {KubeClient} from '../../src/kube/client.ts';
import {LeaderElector} from '../../src/kube/leader-election.ts';
import {leases} from '../../src/kube/resources.ts';
import {silentLogger} from '../../src/process/log.ts';
import {makeClient, makeNamespace} from './cluster.ts';

function compete(client: KubeClient, namespace: string, identity: string) {
	const elector = new LeaderElector({
		api: client,
		lease: {namespace, name: 'onesnap'},
		identity,
		log: silentLogger,
		leaseDurationMs: 3000,
		renewDeadlineMs: 2000,
		retryPeriodMs: 200,
	});
	const stop = new AbortController();
	const ended = elector.run(stop.signal, async (leadership) => {
		await new Promise((resolve) => {
			leadership.addEventListener('abort', resolve);
		});
	});
	onTestFinished(async () => {
		stop.abort();
		await ended;
	});
	return {elector, stop, ended};
}

test('of two replicas one leads; when it stops the other takes over within a period or two', async () => {
	const client = makeClient();
	const namespace = await makeNamespace(client);
	const a = compete(client, namespace, 'a');
	await vi.waitFor(() => expect(a.elector.isLeader).toBe(true));
	const b = compete(client, namespace, 'b');
	await vi.waitFor(() => expect(b.elector.holder).toBe('a'));
	const lease = await client.get(leases, {namespace, name: 'onesnap'});
	expect(lease.spec).toMatchObject({holderIdentity: 'a', leaseDurationSeconds: 3, leaseTransitions: 0});
	expect(lease.spec?.renewTime).toMatch(/\.\d{6}Z$/);
	await vi.waitFor(async () => {
		const {spec} = await client.get(leases, {namespace, name: 'onesnap'});
		expect(spec?.renewTime).not.toBe(lease.spec?.renewTime);
	});
	expect(b.elector.isLeader).toBe(false);
	a.stop.abort();
	expect(await a.ended).toBe('stopped');
	await vi.waitFor(() => expect(b.elector.isLeader).toBe(true), {timeout: 2000});
	expect((await client.get(leases, {namespace, name: 'onesnap'})).spec?.leaseTransitions).toBe(1);
});

test('a replica that cannot reach the API server any more stops, and the other takes over', async () => {
	const mine = makeClient();
	const others = makeClient();
	const namespace = await makeNamespace(others);
	const a = compete(mine, namespace, 'a');
	await vi.waitFor(() => expect(a.elector.isLeader).toBe(true));
	const b = compete(others, namespace, 'b');
	const update = vi.spyOn(mine, 'update').mockRejectedValue(new Error('unplugged'));
	const find = vi.spyOn(mine, 'find').mockRejectedValue(new Error('unplugged'));
	expect(await a.ended).toBe('lost');
	expect(b.elector.isLeader).toBe(false);
	await vi.waitFor(() => expect(b.elector.isLeader).toBe(true), {timeout: 5000});
	update.mockRestore();
	find.mockRestore();
});
