/**
 * Freshness on real disks: at least 200 clones of a disk that is being written, while leaders are deleted, killed, frozen
 * and robbed of their Lease. Prints the margins; figures go to .onesnap/test/freshness.json.
 */
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {until} from '../cluster/until.ts';
import {testLabel, testLabels} from '../e2e/labels.ts';
import {installOnesnap} from '../support/install.ts';
import {makeNamespace, removeNamespaces} from '../support/labelled-namespaces.ts';
import {auditLeaks} from '../support/leak-audit.ts';
import {table} from '../support/table.ts';
import {disturbances} from './leader.ts';
import {type Freshness, measureFreshness} from './run.ts';

const clones = 200;
const rounds = 2;
const namespaces = ['fresh-golden', 'fresh-a', 'fresh-b'] as const;
const leaksMs = 360_000;

const cluster = await ensureLocalCluster();
const {workerImage} = await installOnesnap(cluster);
const api = new KubeClient({connection: connect(cluster.kubeconfig), fieldManager: 'onesnap-freshness-test'});
await withProgress('removing what an earlier run left', () => removeNamespaces(api, testLabel));

const words = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Everything of the test is gone, in the API, the storage and on the host. */
async function findLeaks(): Promise<string | undefined> {
	try {
		await removeNamespaces(api, testLabel);
		await until(
			'nothing is left',
			async () => {
				const leaks = await auditLeaks(api, cluster);
				if (leaks.length > 0) throw new Error(leaks.join('; '));
				return true;
			},
			{timeoutMs: leaksMs, intervalMs: 1000},
		);
		return undefined;
	} catch (error) {
		return words(error);
	}
}

function print({margins, wrong, cuts, disturbed, seconds}: Freshness, leak: string | undefined): void {
	const sorted = margins.toSorted((a, b) => a - b);
	const times = (what: string) => disturbed.filter((each) => each.what === what).length;
	console.log(
		table([
			['clones', String(margins.length)],
			['CreateSnapshot', String(cuts)],
			...disturbances.map((what) => [what, String(times(what))]),
			['smallest margin', `${sorted[0]} writes`],
			['median margin', `${sorted[Math.floor(sorted.length / 2)]} writes`],
			['stale clones', String(margins.filter((margin) => margin < 0).length)],
			['wrong in any way', String(wrong.length)],
			['leaks', leak ?? '0'],
			['seconds', seconds.toFixed(0)],
		]),
	);
}

for (const namespace of namespaces) await makeNamespace(api, namespace, testLabels);
const freshness = await measureFreshness({
	api,
	cluster,
	workerImage,
	namespaces,
	clones,
	disturbances: Array.from({length: rounds}, () => disturbances).flat(),
});
const leak = await withProgress('cleaning up, and looking for leaks', findLeaks);
api.close();
print(freshness, leak);
const folder = path.resolve(import.meta.dirname, '../../.onesnap/test');
await mkdir(folder, {recursive: true});
const file = path.join(folder, 'freshness.json');
await writeFile(file, `${JSON.stringify({...freshness, leaks: leak ?? 0}, null, '\t')}\n`);
report(`figures: ${file}`);
const isGood = freshness.wrong.length === 0 && freshness.margins.length >= clones && leak === undefined;
process.exitCode = isGood ? 0 : 1;
