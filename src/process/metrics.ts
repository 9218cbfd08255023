import {collectDefaultMetrics, Registry} from 'prom-client';

/**
 * The program's one registry. Metrics are module constants beside the code that counts (`new Counter({registers: [registry]})`);
 * names are `onesnap_<noun>_<unit>[_total]`, labels few and never an object's name.
 */
export const registry = new Registry();

/** Memory, event loop lag, file descriptors and so on, as `onesnap_process_…` and `onesnap_nodejs_…`. Call once, from bin. */
export function collectProcessMetrics(): void {
	collectDefaultMetrics({register: registry, prefix: 'onesnap_'});
}
