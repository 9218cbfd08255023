import {readFile, rename, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import type {Layout} from './layout.ts';

const stateSchema = z.object({
	/** The cluster's number among those of this machine, see addresses.ts. */
	number: z.number(),
	/** The kernel's boot id: nothing of a cluster survives a reboot but files. */
	bootId: z.string(),
	startedAt: z.string(),
});

/** Written when the cluster has come up entirely. Without it, what is there is the rest of an attempt. */
export type ClusterState = z.infer<typeof stateSchema>;

/** The state of a cluster that came up since the machine was booted. */
export async function readState(layout: Layout): Promise<ClusterState | undefined> {
	const text = await readFile(stateFile(layout), 'utf8').catch(() => undefined);
	if (text === undefined) return undefined;
	const state = stateSchema.parse(JSON.parse(text));
	return state.bootId === (await bootId()) ? state : undefined;
}

export async function writeState(layout: Layout, number: number): Promise<void> {
	const state: ClusterState = {number, bootId: await bootId(), startedAt: new Date().toISOString()};
	await writeFile(`${stateFile(layout)}.new`, JSON.stringify(state));
	await rename(`${stateFile(layout)}.new`, stateFile(layout));
}

function stateFile(layout: Layout): string {
	return path.join(layout.runDir, 'state.json');
}

async function bootId(): Promise<string> {
	return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
