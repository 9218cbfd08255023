import type {Handlers} from './chain.ts';

/** The Identity service: who the driver is, and which services it has. */
export function identityService(name: string): Handlers {
	return {
		GetPluginInfo: () => ({name, vendor_version: '1'}),
		GetPluginCapabilities: () => ({
			capabilities: [{service: {type: 'CONTROLLER_SERVICE'}}, {volume_expansion: {type: 'ONLINE'}}],
		}),
		Probe: () => ({ready: {value: true}}),
	};
}
