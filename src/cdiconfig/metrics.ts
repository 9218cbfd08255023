/** Under CDI's name: an alert looks at it. Every replica tells it, from its own cache: any that says 0 would alarm. */
import {Gauge} from 'prom-client';
import {registry} from '../process/metrics.ts';

export const crReady = new Gauge({
	name: 'kubevirt_cdi_cr_ready',
	help: '1 while the CDI object says that it is available',
	registers: [registry],
});
