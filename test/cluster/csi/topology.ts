import type {Handlers, RpcNotes} from './chain.ts';
import {CsiError} from './errors.ts';
import {idOf} from './ids.ts';
import type {
	CreateSnapshotRequest,
	CreateVolumeRequest,
	ListRequest,
	ListSnapshotsRequest,
	Snapshot,
	SnapshotRequest,
	Topology,
	TopologyRequirement,
	Volume,
	VolumeContentSource,
	VolumeRequest,
} from './messages.ts';
import {pageOf} from './paging.ts';
import type {Pool} from './pool.ts';

/** A node's own storage: what is in its pool can be used there and nowhere else. */
export type LocalPool = {
	readonly nodeId: string;
	readonly pool: Pool;
	/** The Controller service of this pool alone. */
	readonly handlers: Handlers;
};

/** The segment that a node is, and that a volume is accessible from. */
export function topologyOf(key: string, nodeId: string): Topology {
	return {segments: {[key]: nodeId}};
}

/**
 * One Controller service over the pools of all nodes, as TopoLVM's: it decides on which node a call belongs, and lets that
 * node's own handlers do the work. A new volume goes where the caller would have it; a snapshot is cut beside its volume; what
 * is made from a volume or a snapshot can only be beside it, and is refused where the caller wants it elsewhere.
 */
export function topologyController(key: string, locals: readonly LocalPool[]): Handlers {
	const [first] = locals;
	if (!first) throw new Error('a driver of node-local storage needs a node');
	const withVolume = (id: string | undefined) => find(locals, async ({pool}) => pool.volumes.read(id ?? ''));
	const withSnapshot = (id: string | undefined) => find(locals, async ({pool}) => pool.snapshots.read(id ?? ''));
	const withSource = (source: VolumeContentSource | undefined) =>
		source?.volume ? withVolume(source.volume.volume_id) : withSnapshot(source?.snapshot?.snapshot_id);
	const located = (volume: Volume, {nodeId}: LocalPool): Volume => ({
		...volume,
		accessible_topology: [topologyOf(key, nodeId)],
	});

	const placeOf = async (request: CreateVolumeRequest): Promise<LocalPool> => {
		const allowed = allowedNodes(key, request.accessibility_requirements);
		const isAllowed = ({nodeId}: LocalPool) => allowed?.includes(nodeId) ?? true;
		const existing = await withVolume(idOf(request.name ?? ''));
		if (existing && !isAllowed(existing)) {
			throw new CsiError('ALREADY_EXISTS', `volume ${request.name} exists on node ${existing.nodeId}`);
		}
		if (existing) return existing;
		if (request.volume_content_source) {
			const source = await withSource(request.volume_content_source);
			if (source && !isAllowed(source)) {
				throw new CsiError('INVALID_ARGUMENT', `source node is not in the requirements: it is ${source.nodeId}`);
			}
			// Without a source there is nothing to be beside: any handler says what is missing.
			return source ?? first;
		}
		if (!allowed) return first;
		const chosen = allowed.map((id) => locals.find(({nodeId}) => nodeId === id)).find((local) => local !== undefined);
		if (chosen) return chosen;
		throw new CsiError('RESOURCE_EXHAUSTED', `no storage on any of the nodes ${allowed.join(', ')}`);
	};

	/** Everywhere: a call that was killed on one node and repeated on another may have left a file that no record names. */
	async function everywhere(rpc: string, request: object, notes: RpcNotes): Promise<object> {
		for (const local of locals) await handle(local, rpc, request, notes);
		return {};
	}

	async function listAll(rpc: string, request: object, notes: RpcNotes) {
		const lists = locals.map(async (local) => {
			const {entries = []}: {entries?: readonly Entry[]} = await handle(local, rpc, request, notes);
			return entries.map(({volume, snapshot}) => ({
				id: volume?.volume_id ?? snapshot?.snapshot_id ?? '',
				entry: volume ? {volume: located(volume, local)} : {snapshot},
			}));
		});
		return (await Promise.all(lists)).flat();
	}

	const ofVolume = (rpc: string) => async (request: VolumeRequest, notes: RpcNotes) =>
		handle((await withVolume(request.volume_id)) ?? first, rpc, request, notes);

	const handlers: Handlers = {
		...first.handlers,
		CreateVolume: async (request: CreateVolumeRequest, notes) => {
			const local = await placeOf(request);
			const {volume}: {volume?: Volume} = await handle(local, 'CreateVolume', request, notes);
			return volume ? {volume: located(volume, local)} : {};
		},
		DeleteVolume: (request: VolumeRequest, notes) => everywhere('DeleteVolume', request, notes),
		ValidateVolumeCapabilities: ofVolume('ValidateVolumeCapabilities'),
		ControllerExpandVolume: ofVolume('ControllerExpandVolume'),
		ListVolumes: async (request: ListRequest, notes) => page(await listAll('ListVolumes', {}, notes), request),
		CreateSnapshot: async (request: CreateSnapshotRequest, notes) => {
			const existing = await withSnapshot(idOf(request.name ?? ''));
			const local = existing ?? (await withVolume(request.source_volume_id)) ?? first;
			return handle(local, 'CreateSnapshot', request, notes);
		},
		DeleteSnapshot: (request: SnapshotRequest, notes) => everywhere('DeleteSnapshot', request, notes),
		ListSnapshots: async ({max_entries = 0, starting_token = '', ...filter}: ListSnapshotsRequest, notes) =>
			page(await listAll('ListSnapshots', filter, notes), {max_entries, starting_token}),
	};
	// A driver without snapshots has none here either.
	return Object.fromEntries(Object.entries(handlers).filter(([rpc]) => first.handlers[rpc] !== undefined));
}

/** Of a list of volumes or of snapshots. */
type Entry = {readonly volume?: Volume; readonly snapshot?: Snapshot};

async function handle(local: LocalPool, rpc: string, request: object, notes: RpcNotes): Promise<object> {
	const handler = local.handlers[rpc];
	if (!handler) throw new CsiError('UNIMPLEMENTED', `this driver has no ${rpc}`);
	return handler(request, notes);
}

async function find(
	locals: readonly LocalPool[],
	read: (local: LocalPool) => Promise<object | undefined>,
): Promise<LocalPool | undefined> {
	for (const local of locals) if (await read(local)) return local;
	return undefined;
}

/** The nodes that the caller allows, the preferred ones first; undefined when it leaves that to us. */
function allowedNodes(key: string, requirement: TopologyRequirement | undefined): readonly string[] | undefined {
	const {requisite = [], preferred = []} = requirement ?? {};
	if (requisite.length === 0 && preferred.length === 0) return undefined;
	const nodesIn = (topologies: readonly Topology[]) => topologies.flatMap(({segments}) => segments?.[key] ?? []);
	const allowed = nodesIn(requisite.length > 0 ? requisite : preferred);
	return [...new Set([...nodesIn(preferred).filter((node) => allowed.includes(node)), ...allowed])];
}

function page(items: readonly {readonly id: string; readonly entry: object}[], request: ListRequest): object {
	const {items: shown, nextToken} = pageOf(items, request);
	return {entries: shown.map(({entry}) => entry), ...(nextToken && {next_token: nextToken})};
}
