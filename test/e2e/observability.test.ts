/** What a cluster's monitoring sees of the controller. */
import {beforeAll, expect, test} from 'vitest';
import {z} from 'zod';
import * as resources from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {waitForSucceeded} from '../support/data-volumes.ts';
import {testLabel} from './labels.ts';
import {api, createDataVolume, local, makeNamespace, pvcSource, sweptMs} from './world.ts';

const podAddress = z.object({status: z.object({podIP: z.string()})});

async function controllers(): Promise<string[]> {
	const labelSelector = 'app.kubernetes.io/name=onesnap-controller';
	const {items} = await api.list(resources.pods, {namespace: 'onesnap', labelSelector});
	const living = items.filter(({metadata}) => !metadata.deletionTimestamp);
	return living.map((pod) => `http://${podAddress.parse(pod).status.podIP}:8080`);
}

/** Sum over all replicas and label values. */
async function sumOf(metric: string): Promise<number> {
	const texts = await Promise.all((await controllers()).map(async (url) => (await fetch(`${url}/metrics`)).text()));
	const lines = texts.flatMap((text) => text.split('\n'));
	const values = lines.filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`));
	return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

const labelSelector = 'app.kubernetes.io/name=onesnap-controller';

test('two replicas run, one leads', async () => {
	const {items} = await api.list(resources.pods, {namespace: 'onesnap', labelSelector});
	expect(items).toHaveLength(2);
	const lease = await api.get(resources.leases, {namespace: 'onesnap', name: 'onesnap-controller'});
	const names = items.map(({metadata}) => metadata.name);
	expect(names).toContain(lease.spec?.holderIdentity?.split('_')[0]);
});

// Pod addresses can be reached from here only in the local cluster.
if (local) {
	let namespace: string;

	beforeAll(async () => {
		await until(
			'what earlier files made is gone, whose end would be counted here',
			async () => {
				const left = [
					...(await api.list(resources.sharedSnapshots)).items,
					...(await api.list(resources.namespaces, {labelSelector: testLabel})).items,
				];
				return left.length === 0 ? true : undefined;
			},
			{timeoutMs: sweptMs},
		);
		namespace = await makeNamespace('metrics');
	});

	test.each(['/healthz', '/readyz'])('%s answers 200 on every replica', async (path) => {
		const urls = await controllers();
		expect(urls).toHaveLength(2);
		const answers = await Promise.all(urls.map((url) => fetch(`${url}${path}`)));
		expect(answers.map(({status}) => status)).toEqual([200, 200]);
	});

	test('an import and a clone are counted', async () => {
		const names = [
			'onesnap_snapshot_cuts_total',
			'onesnap_clones_total',
			'onesnap_clone_assignments_total',
			'onesnap_snapshot_retirements_total',
			'onesnap_datavolume_seconds_count',
		];
		const before = await Promise.all(names.map(sumOf));
		const golden = await createDataVolume({namespace, name: 'golden', source: {blank: {}}, size: '32Mi'});
		await waitForSucceeded(api, [golden]);
		const clone = await createDataVolume({namespace, name: 'clone', source: pvcSource(golden), size: '32Mi'});
		await waitForSucceeded(api, [clone]);
		// As long as nobody writes to the source, its snapshot is kept for later clones.
		await api.delete(resources.dataVolumes, golden.metadata);
		await expect
			.poll(
				async () => {
					const now = await Promise.all(names.map(sumOf));
					return Object.fromEntries(names.map((name, index) => [name, (now[index] ?? 0) - (before[index] ?? 0)]));
				},
				{timeout: 30_000},
			)
			.toEqual({
				onesnap_snapshot_cuts_total: 1,
				onesnap_clones_total: 1,
				onesnap_clone_assignments_total: 1,
				onesnap_snapshot_retirements_total: 1,
				onesnap_datavolume_seconds_count: 2,
			});
	});
}
