import type {Logger} from '../../../src/process/log.ts';
import type {Handlers} from './chain.ts';

/**
 * The kubelet watches its plugins_registry folder; on a new socket there it asks, by this service, what kind of plugin it is
 * and where it can be called. (Drivers usually leave that to the node-driver-registrar sidecar.)
 */
export function registrationService(driver: {name: string; csiSocket: string}, logger: Logger): Handlers {
	return {
		GetInfo: () => ({
			type: 'CSIPlugin',
			name: driver.name,
			endpoint: driver.csiSocket,
			supported_versions: ['1.0.0'],
		}),
		NotifyRegistrationStatus: (request: {plugin_registered?: boolean; error?: string}) => {
			if (request.plugin_registered) logger.info('registered with the kubelet');
			else logger.error({reason: request.error}, 'the kubelet refused to register the driver');
			return {};
		},
	};
}
