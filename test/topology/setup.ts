/** The end-to-end set-up on a local cluster of two nodes, whatever else the user named: these tests are about what only it has. */
import type {TestProject} from 'vitest/node';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {wantedNodes} from '../cluster/node-count.ts';
import {setUpOn} from '../e2e/setup.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	return setUpOn(await ensureLocalCluster(Math.max(2, wantedNodes(process.env))), project);
}
