/** No clone shows less than what was durable on its source before it was asked for. `make test-freshness` asks for 200. */
import {describe, expect, test} from 'vitest';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {measureFreshness} from '../freshness/run.ts';
import {api, context, local, makeNamespace} from './world.ts';

/** The disks are read where the local cluster's driver keeps them. */
describe.runIf(local)('clones of a disk that is being written', () => {
	test('are fresh, while the leader changes', async () => {
		const cluster = await ensureLocalCluster();
		const freshness = await measureFreshness({
			api,
			cluster,
			workerImage: context.workerImage,
			namespaces: [await makeNamespace('fresh'), await makeNamespace('team')],
			clones: 20,
			disturbances: ['leader Pod deleted'],
		});
		expect(freshness.wrong).toEqual([]);
		expect(freshness.margins.length).toBeGreaterThanOrEqual(20);
		expect(Math.min(...freshness.margins)).toBeGreaterThanOrEqual(0);
		expect(freshness.disturbed).toHaveLength(1);
		// More than one: otherwise nothing was ever cut anew.
		expect(freshness.cuts).toBeGreaterThan(1);
	});
});
