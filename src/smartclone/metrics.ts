/** Every metric of this controller. */
import {Counter} from 'prom-client';
import {registry} from '../process/metrics.ts';

export const cutsTotal = new Counter({
	name: 'onesnap_snapshot_cuts_total',
	help: 'VolumeSnapshots created to be shared',
	registers: [registry],
});

export const assignmentsTotal = new Counter({
	name: 'onesnap_clone_assignments_total',
	help: 'Clone requests assigned to a shared snapshot, by the rule that allowed it',
	labelNames: ['rule'],
	registers: [registry],
});

export const retirementsTotal = new Counter({
	name: 'onesnap_snapshot_retirements_total',
	help: 'Shared snapshots that stopped serving new clones, by reason',
	labelNames: ['reason'],
	registers: [registry],
});
