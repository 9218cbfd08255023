import path from 'node:path';
import {LingeringLoops} from './lingering-loops.ts';
import type {Locks} from './locks.ts';
import type {Topology} from './messages.ts';
import type {DriverNode, DriverOptions} from './options.ts';
import {openPool, type Pool, requireReflink} from './pool.ts';
import {topologyOf} from './topology.ts';

/** A node with the pool that it reaches. */
export type ServedNode = DriverNode & OpenPool & {readonly topology?: Topology};

type OpenPool = {readonly pool: Pool; readonly lingering: LingeringLoops};

/** With a topology key each node has a pool of its own; without, all nodes share one. */
export async function openNodes(options: DriverOptions, locks: Locks): Promise<readonly [ServedNode, ...ServedNode[]]> {
	const {topologyKey, otherNodes} = options;
	const open = async (folder: string): Promise<OpenPool> => {
		const pool = await openPool(folder);
		if (options.snapshots) await requireReflink(pool);
		return {pool, lingering: new LingeringLoops(pool, locks)};
	};
	const shared = topologyKey ? undefined : await open(options.pool);
	const serve = async ({nodeId, csiSocket, kubeletDir}: DriverNode): Promise<ServedNode> => ({
		nodeId,
		csiSocket,
		...(kubeletDir && {kubeletDir}),
		...(topologyKey && {topology: topologyOf(topologyKey, nodeId)}),
		...(shared ?? (await open(path.join(options.pool, nodeId)))),
	});
	return [await serve(options), ...(await Promise.all(otherNodes.map(serve)))];
}
