import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import type {Logger} from '../../../src/process/log.ts';
import {ensureDefinitions} from '../definitions.ts';
import type {Handlers, Interceptor} from './chain.ts';
import {controllerService} from './controller.ts';
import {toCsiError} from './errors.ts';
import {faultInterceptor} from './fault-interceptor.ts';
import {FaultSwitches, openFaults} from './fault-switches.ts';
import {identityService} from './identity.ts';
import {JournalWriter, journalInterceptor} from './journal-writer.ts';
import {nodeService} from './node.ts';
import {Locks} from './locks.ts';
import type {DriverNode, DriverOptions} from './options.ts';
import {registrationService} from './registration.ts';
import {lockInterceptor} from './rpc-locks.ts';
import {openNodes, type ServedNode} from './served-nodes.ts';
import {loadDefinitions, type RunningServer, serve} from './server.ts';
import {topologyController} from './topology.ts';

/**
 * A CSI driver for the local cluster: volumes are sparse files on an xfs, snapshots and clones are copies that share blocks
 * (reflink), a node reaches a volume through a loop device. Not a toy where it matters to those who test with it: what it
 * answers is durable, every call may be repeated, and it may be killed between any two writes.
 *
 *     chain.ts, server.ts     gRPC; what happens around every call: journal, faults, locks
 *     controller.ts           volumes (create-volume.ts) and snapshots (snapshots.ts) as objects
 *     topology.ts             the same over several nodes, each with a pool of its own
 *     node.ts                 staging (node-stage.ts) and publishing (node-publish.ts) on a machine
 *     pool.ts                 the files: images and their records
 *     loop.ts, mounts.ts, filesystem.ts    the kernel
 *     faults.ts               what it can be told to do worse
 *     journal.ts, usage.ts    for tests: what the storage did, and what it holds
 *
 * This starts it: its three services on one socket, and the kubelet's registration on another. One process serves all nodes of
 * the cluster, the others with a socket and a registration of their own: they share one kernel, and so have to share the locks.
 */
export async function startDriver(options: DriverOptions, logger: Logger): Promise<RunningServer> {
	const {csiProto = (await ensureDefinitions()).csiProto} = options;
	const definitions = await loadDefinitions(csiProto);
	const locks = new Locks();
	const nodes = await openNodes(options, locks);
	const pools = [...new Set(nodes.map(({pool}) => pool))];
	const faults = openFaults(options.faults, logger);
	const journal = new JournalWriter(options.journal);

	// The order matters: what locks and faults refuse is in the journal too, and a call that is delayed holds no lock.
	const interceptors = [
		logInterceptor(logger),
		journalInterceptor((record) => journal.append(record)),
		faultInterceptor(pools, faults.file, faults.counts),
		lockInterceptor(locks),
	];
	const [first] = nodes;
	const controllerOf = ({pool}: ServedNode) => controllerService(pool, options, new FaultSwitches(pool, faults));
	const controller = options.topologyKey
		? topologyController(
				options.topologyKey,
				nodes.map((node) => ({...node, handlers: controllerOf(node)})),
			)
		: controllerOf(first);
	const running: RunningServer[] = [];
	for (const node of nodes) {
		const handlers: Readonly<Record<string, Handlers>> = {
			'csi.v1.Identity': identityService(options.name, options.topologyKey !== undefined),
			// The sidecars talk to one instance, for all nodes.
			...(node === first && {'csi.v1.Controller': controller}),
			'csi.v1.Node': nodeService(node.pool, node, node.lingering),
		};
		await mkdir(path.dirname(node.csiSocket), {recursive: true});
		const services = Object.entries(handlers).map(([name, handlers]) => ({name, definitions, handlers, interceptors}));
		running.push(await serve(node.csiSocket, services));
	}
	const lingering = [...new Set(nodes.map((node) => node.lingering))];
	const sweeping = lingering.map((loops) => loops.run(logger));
	const registrations: RunningServer[] = [];
	for (const node of nodes) {
		if (node.kubeletDir) registrations.push(await register(options, node, node.kubeletDir, logger));
	}
	return {
		// The kubelet stops calling a driver when its registration socket is gone: first that, then the services.
		stop: async () => {
			await Promise.all(registrations.map((registration) => registration.stop()));
			await Promise.all(running.map((server) => server.stop()));
			for (const loops of lingering) loops.stop();
			await Promise.all(sweeping);
			journal.close();
		},
	};
}

async function register(
	{name, registrationProto}: DriverOptions,
	{csiSocket}: DriverNode,
	kubeletDir: string,
	logger: Logger,
): Promise<RunningServer> {
	const folder = path.join(kubeletDir, 'plugins_registry');
	await mkdir(folder, {recursive: true});
	const definitions = await loadDefinitions(registrationProto ?? (await ensureDefinitions()).registrationProto);
	const handlers = registrationService({name, csiSocket}, logger);
	const socket = path.join(folder, `${name}-reg.sock`);
	return serve(socket, [{name: 'pluginregistration.Registration', definitions, handlers, interceptors: []}]);
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
