import {readFile, rename, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import type {Layout} from './layout.ts';

const stateSchema = z.object({
	/** The cluster's number among those of this machine, see addresses.ts. */
	number: z.number(),
	/** How many nodes it has, or is about to have: it only ever grows. */
	nodes: z.number().default(1),
	/** The kernel's boot id: nothing of a cluster survives a reboot but files. */
	bootId: z.string(),
	startedAt: z.string(),
});

/**
 * Written when the cluster has come up entirely, without it, what is there is the rest of an attempt; and again before a node is added,
 * so that the next `up` finishes what an interrupted one began.
 */
export type ClusterState = z.infer<typeof stateSchema>;

/** The state of a cluster that came up since the machine was booted. */
export async function readState(layout: Layout): Promise<ClusterState | undefined> {
	const text = await readFile(stateFile(layout), 'utf8').catch(() => undefined);
	if (text === undefined) return undefined;
	const state = stateSchema.parse(JSON.parse(text));
	return state.bootId === (await bootId()) ? state : undefined;
}

export async function writeState(layout: Layout, size: Pick<ClusterState, 'number' | 'nodes'>): Promise<void> {
	const state: ClusterState = {...size, bootId: await bootId(), startedAt: new Date().toISOString()};
	await writeFile(`${stateFile(layout)}.new`, JSON.stringify(state));
	await rename(`${stateFile(layout)}.new`, stateFile(layout));
}

function stateFile(layout: Layout): string {
	return path.join(layout.runDir, 'state.json');
}

async function bootId(): Promise<string> {
	return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
