import {status} from '@grpc/grpc-js';
import {z} from 'zod';
import type {CodeName} from './errors.ts';

/**
 * The switch file: what this storage does worse than it could, as real ones do. Pure: what a file may say, and what holds for
 * one volume and one call. Reading it is fault-file.ts, doing it is fault-interceptor.ts and fault-switches.ts.
 *
 *     {
 *       "all":     {"cutMs": 2000},                           for every volume
 *       "volumes": {"pvc-1…": {"maxSnapshots": 3}},           for one, in place of what `all` says; lists are joined
 *       "noListSnapshots": true                               of the driver as a whole
 *     }
 *
 * A volume is named by its handle. A call is about the volume that it reads from where there is one (a restore is about the
 * volume that its snapshot was cut of), else about its own; so the key of a golden volume reaches its cuts, its restores and
 * its clones, and tests that work with different volumes do not disturb each other.
 */

const rpcs = [
	'CreateVolume',
	'DeleteVolume',
	'ControllerExpandVolume',
	'CreateSnapshot',
	'DeleteSnapshot',
	'ListSnapshots',
	'NodeStageVolume',
	'NodeUnstageVolume',
	'NodePublishVolume',
	'NodeUnpublishVolume',
	'NodeExpandVolume',
] as const;

const milliseconds = z.int().nonnegative();
const count = z.int().positive();

/** Which calls an entry is about, and how many of them. */
const whichCalls = {
	/** How often a call was hit is counted under it; see fault-counts.ts. Default: the entry's own text. */
	id: z.string().min(1).optional(),
	method: z.enum(rpcs),
	/** Only calls with this kind of content source. Default: any call. */
	source: z.enum(['snapshot', 'volume', 'none']).optional(),
	/** `after`: the work is done, only the answer is late or lost. Default: before. */
	when: z.enum(['before', 'after']).optional(),
	times: z.union([count, z.literal('always')]),
};

const isCode = (name: string): name is CodeName => name in status && Number.isNaN(Number(name)) && name !== 'OK';

const failure = z.strictObject({
	...whichCalls,
	/** A gRPC status by its name: `RESOURCE_EXHAUSTED`. */
	code: z.custom<CodeName>((value) => typeof value === 'string' && isCode(value), {
		error: 'expected the name of a gRPC status other than OK, as RESOURCE_EXHAUSTED',
	}),
	message: z.string().optional(),
});
export type Failure = z.infer<typeof failure>;

const delay = z.strictObject({...whichCalls, ms: milliseconds});
export type Delay = z.infer<typeof delay>;

const faultSet = z.strictObject({
	fail: z.array(failure).optional(),
	delay: z.array(delay).optional(),
	/** A cut takes so long. */
	cutMs: milliseconds.optional(),
	/** A snapshot is not ready to use for so long after its cut. */
	notReadyMs: milliseconds.optional(),
	/** Snapshots do not tell their size. */
	noRestoreSize: z.boolean().optional(),
	/** A restore or clone must be exactly as large as its source. */
	equalSizeRestore: z.boolean().optional(),
	/** More snapshots than this are RESOURCE_EXHAUSTED. */
	maxSnapshots: count.optional(),
	/** An earlier cut than this after the last one is RESOURCE_EXHAUSTED. */
	betweenCutsMs: milliseconds.optional(),
	/** A restore locks its snapshot, and takes at least so long; another one meanwhile is ABORTED. */
	restoreLockMs: milliseconds.optional(),
	/** Handles of snapshots that the storage has lost. */
	vanished: z.array(z.string().min(1)).optional(),
	/** A snapshot cannot be deleted while there is a volume that was restored from it. */
	clonesDepend: z.boolean().optional(),
});
export type FaultSet = z.infer<typeof faultSet>;

const faultSettings = z.strictObject({
	all: faultSet.optional(),
	volumes: z.record(z.string().min(1), faultSet).optional(),
	/** The driver does not say that it can list snapshots, and cannot. Sidecars ask for capabilities when they start. */
	noListSnapshots: z.boolean().optional(),
});
export type FaultSettings = z.infer<typeof faultSettings>;

export const noFaultSettings: FaultSettings = {};

/** What a switch file says, or an Error that says where it is wrong. */
export function parseFaultSettings(text: string): FaultSettings {
	const parsed = faultSettings.safeParse(JSON.parse(text));
	if (parsed.success) return parsed.data;
	throw new Error(z.prettifyError(parsed.error));
}

/** Everything that holds for one volume; undefined is a volume that nobody knows. */
export function faultsOf({all = {}, volumes = {}}: FaultSettings, volumeId: string | undefined): FaultSet {
	const own = (volumeId !== undefined && Object.hasOwn(volumes, volumeId) && volumes[volumeId]) || {};
	return {
		...all,
		...own,
		fail: [...(all.fail ?? []), ...(own.fail ?? [])],
		delay: [...(all.delay ?? []), ...(own.delay ?? [])],
		vanished: [...(all.vanished ?? []), ...(own.vanished ?? [])],
	};
}

/** Every entry with a count, wherever it stands. */
export function countedEntries({all = {}, volumes = {}}: FaultSettings): readonly (Failure | Delay)[] {
	return [all, ...Object.values(volumes)].flatMap(({fail = [], delay = []}) => [...fail, ...delay]);
}

export function countKey(entry: Failure | Delay): string {
	return entry.id ?? JSON.stringify(entry);
}

export type CallKind = {readonly rpc: string; readonly source: 'snapshot' | 'volume' | 'none'};

export function isAbout(entry: Failure | Delay, {rpc, source}: CallKind): boolean {
	return entry.method === rpc && (entry.source === undefined || entry.source === source);
}
