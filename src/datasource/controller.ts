/** Says of DataSources what they come to and whether that is ready. Key: `namespace/name`. */
import type {DataSource} from '../api/data-source.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, watch} from '../kube/controller.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {decide} from './decide.ts';
import {execute} from './execute.ts';
import {dataSourcesByTarget, dataSourcesOf, observe, withReferrers} from './observe.ts';

export interface DataSourceControllerOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly clock: Clock;
	readonly log: Logger;
}

export function makeDataSourceController({api, caches, clock, log}: DataSourceControllerOptions): Controller {
	caches.addIndex(resources.dataSources, dataSourcesByTarget);
	const keysOf = (dataSources: readonly DataSource[]) => dataSources.map(keyOf);
	return new Controller({
		name: 'datasource',
		caches,
		log,
		clock,
		async reconcile(key, round) {
			const plan = decide(observe(key, {caches, now: () => clock.now()}));
			await execute({api, signal: round.signal}, plan);
			if (plan.do === 'report')
				round.log.info({source: plan.status.source, labels: plan.labels}, 'data source reported');
			return 'done';
		},
		watches: [
			watch(resources.dataSources, (dataSource) => keysOf(withReferrers(caches, dataSource))),
			watch(resources.persistentVolumeClaims, ({metadata}) =>
				keysOf(dataSourcesOf(caches, 'PersistentVolumeClaim', metadata)),
			),
			// Has the name of the claim that it fills.
			watch(resources.dataVolumes, ({metadata}) => keysOf(dataSourcesOf(caches, 'PersistentVolumeClaim', metadata))),
			watch(resources.volumeSnapshots, ({metadata}) => keysOf(dataSourcesOf(caches, 'VolumeSnapshot', metadata))),
		],
	});
}
