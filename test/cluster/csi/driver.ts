import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import type {Logger} from '../../../src/process/log.ts';
import {ensureDefinitions} from '../definitions.ts';
import type {Interceptor} from './chain.ts';
import {controllerService} from './controller.ts';
import {toCsiError} from './errors.ts';
import {FaultSwitches} from './fault-switches.ts';
import {identityService} from './identity.ts';
import {JournalWriter, journalInterceptor} from './journal-writer.ts';
import {nodeService} from './node.ts';
import {LingeringLoops} from './lingering-loops.ts';
import {Locks} from './locks.ts';
import type {DriverOptions} from './options.ts';
import {openPool, requireReflink} from './pool.ts';
import {registrationService} from './registration.ts';
import {lockInterceptor} from './rpc-locks.ts';
import {loadDefinitions, type RunningServer, serve} from './server.ts';

/**
 * A CSI driver for the local cluster: volumes are sparse files on an xfs, snapshots and clones are copies that share blocks
 * (reflink), a node reaches a volume through a loop device. Not a toy where it matters to those who test with it: what it
 * answers is durable, every call may be repeated, and it may be killed between any two writes.
 *
 *     chain.ts, server.ts     gRPC; what happens around every call: journal, faults, locks
 *     controller.ts           volumes (create-volume.ts) and snapshots (snapshots.ts) as objects
 *     node.ts                 staging (node-stage.ts) and publishing (node-publish.ts) on a machine
 *     pool.ts                 the files: images and their records
 *     loop.ts, mounts.ts, filesystem.ts    the kernel
 *     faults.ts               what it can be told to do worse
 *     journal.ts, usage.ts    for tests: what the storage did, and what it holds
 *
 * This starts it: its three services on one socket, and the kubelet's registration on another.
 */
export async function startDriver(options: DriverOptions, logger: Logger): Promise<RunningServer> {
	const {csiProto = (await ensureDefinitions()).csiProto} = options;
	const definitions = await loadDefinitions(csiProto);
	const pool = await openPool(options.pool);
	if (options.snapshots) await requireReflink(pool);
	const journal = new JournalWriter(options.journal);
	const faults = new FaultSwitches(pool, options.faults, logger);
	const locks = new Locks();
	const lingering = new LingeringLoops(pool, locks);

	// The order matters: what locks and faults refuse is in the journal too, and a call that is delayed holds no lock.
	const interceptors = [
		logInterceptor(logger),
		journalInterceptor((record) => journal.append(record)),
		faults.interceptor(),
		lockInterceptor(locks),
	];
	const handlers = {
		'csi.v1.Identity': identityService(options.name),
		'csi.v1.Controller': controllerService(pool, options, faults),
		'csi.v1.Node': nodeService(pool, options.nodeId, lingering),
	};
	await mkdir(path.dirname(options.csiSocket), {recursive: true});
	const services = Object.entries(handlers).map(([name, handlers]) => ({name, definitions, handlers, interceptors}));
	const csi = await serve(options.csiSocket, services);
	const sweeping = lingering.run(logger);
	const registration = options.kubeletDir ? await register(options, options.kubeletDir, logger) : undefined;
	return {
		// The kubelet stops calling a driver when its registration socket is gone: first that, then the services.
		stop: async () => {
			await registration?.stop();
			await csi.stop();
			lingering.stop();
			await sweeping;
			journal.close();
		},
	};
}

async function register(options: DriverOptions, kubeletDir: string, logger: Logger): Promise<RunningServer> {
	const {registrationProto = (await ensureDefinitions()).registrationProto} = options;
	const folder = path.join(kubeletDir, 'plugins_registry');
	await mkdir(folder, {recursive: true});
	const name = 'pluginregistration.Registration';
	const definitions = await loadDefinitions(registrationProto);
	const handlers = registrationService(options, logger);
	const socket = path.join(folder, `${options.name}-reg.sock`);
	return serve(socket, [{name, definitions, handlers, interceptors: []}]);
}

/** The journal has what callers are told; a failure nobody foresaw is worth its stack. */
function logInterceptor(logger: Logger): Interceptor {
	return async (call, next) => {
		try {
			return await next();
		} catch (error) {
			if (toCsiError(error).code === 'INTERNAL') logger.error({error, rpc: call.rpc}, 'call failed');
			throw error;
		}
	};
}
