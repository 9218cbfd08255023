import type {Handlers} from './chain.ts';

/** The Identity service: who the driver is, and which services it has. */
export function identityService(name: string, hasTopology: boolean): Handlers {
	const services = ['CONTROLLER_SERVICE', ...(hasTopology ? ['VOLUME_ACCESSIBILITY_CONSTRAINTS'] : [])];
	return {
		GetPluginInfo: () => ({name, vendor_version: '1'}),
		GetPluginCapabilities: () => ({
			capabilities: [...services.map((type) => ({service: {type}})), {volume_expansion: {type: 'ONLINE'}}],
		}),
		Probe: () => ({ready: {value: true}}),
	};
}
