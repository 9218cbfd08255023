/** Every metric of this controller. */
import {Counter, Gauge, Histogram} from 'prom-client';
import {registry} from '../process/metrics.ts';

export const clonesTotal = new Counter({
	name: 'onesnap_clones_total',
	help: 'Clones whose claim was created, by the way that was chosen',
	labelNames: ['way'],
	registers: [registry],
});

export const clonesDeclinedTotal = new Counter({
	name: 'onesnap_clones_declined_total',
	help: 'Reasons why clones were not shared: one clone counts under each of its reasons',
	labelNames: ['code'],
	registers: [registry],
});

export const waysGivenUpTotal = new Counter({
	name: 'onesnap_clone_ways_given_up_total',
	help: 'Ways that clones tried in vain, by the code of the answer or what ran out',
	labelNames: ['way', 'code'],
	registers: [registry],
});

export const restorePushbacksTotal = new Counter({
	name: 'onesnap_restore_pushbacks_total',
	help: 'Restores that the storage put off because there were too many',
	labelNames: ['driver'],
	registers: [registry],
});

/** Of the snapshot that was restored from last. */
export const restoreWindowSize = new Gauge({
	name: 'onesnap_restore_window_count',
	help: 'Restores that may be in flight from one snapshot, as adapted to the answers of the storage',
	labelNames: ['driver'],
	registers: [registry],
});

export const dataVolumeSeconds = new Histogram({
	name: 'onesnap_datavolume_seconds',
	help: 'From the creation of a DataVolume to its phase Succeeded',
	labelNames: ['source'],
	buckets: [1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600],
	registers: [registry],
});

/** CDI's name: alerts look at it. */
export const dataVolumesPending = new Gauge({
	name: 'kubevirt_cdi_datavolume_pending',
	help: 'DataVolumes whose claim cannot be made as they ask for it',
	registers: [registry],
});
