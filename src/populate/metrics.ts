/** Every metric of this controller. */
import {Counter, Gauge} from 'prom-client';
import {registry} from '../process/metrics.ts';

export const volumesMovedTotal = new Counter({
	name: 'onesnap_volumes_moved_total',
	help: 'Volumes that were filled in a prime claim and moved to their target',
	registers: [registry],
});

export const workersStartedTotal = new Counter({
	name: 'onesnap_workers_started_total',
	help: 'Importer and copier Pods created',
	labelNames: ['program'],
	registers: [registry],
});

export const workersRunning = new Gauge({
	name: 'onesnap_workers_running_count',
	help: 'Importer and copier Pods that are running now',
	registers: [registry],
});
