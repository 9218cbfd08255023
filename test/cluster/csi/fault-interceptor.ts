import {setTimeout as sleep} from 'node:timers/promises';
import type {Interceptor, RpcCall} from './chain.ts';
import {CsiError} from './errors.ts';
import type {FaultCounts} from './fault-counts.ts';
import type {FaultFile} from './fault-file.ts';
import {type CallKind, type Delay, type Failure, type FaultSet, faultsOf, isAbout} from './faults.ts';
import type {CreateSnapshotRequest, CreateVolumeRequest, SnapshotRequest, VolumeRequest} from './messages.ts';
import type {Pool} from './pool.ts';

/** The fields of all requests that name a volume or snapshot. */
type Named = CreateVolumeRequest & CreateSnapshotRequest & SnapshotRequest & VolumeRequest;

/** Delays calls and lets them fail, before or after the work, as the switch file has it. */
export function faultInterceptor(pools: readonly Pool[], file: FaultFile, counts: FaultCounts): Interceptor {
	return async (call, next) => {
		const kind = kindOf(call);
		// Asked once: what held when the call came holds to its end.
		const faults = faultsOf(file.settings(), await subjectOf(pools, call.request));
		await meet('before', call, kind, faults, counts);
		const response = await next();
		await meet('after', call, kind, faults, counts);
		return response;
	};
}

type When = 'before' | 'after';

async function meet(when: When, call: RpcCall, kind: CallKind, faults: FaultSet, counts: FaultCounts): Promise<void> {
	const hits = (entry: Delay | Failure) =>
		(entry.when ?? 'before') === when && isAbout(entry, kind) && counts.take(entry);
	const delay = faults.delay?.find(hits);
	if (delay) {
		noteFault(call.notes, 'delay');
		await sleep(delay.ms);
	}
	const failure = faults.fail?.find(hits);
	if (!failure) return;
	noteFault(call.notes, 'fail');
	throw new CsiError(failure.code, failure.message ?? `${call.rpc} fails, ${when} its work: a fault switch`);
}

/** For the journal: which switches a call has met. */
export function noteFault(notes: RpcCall['notes'], name: keyof FaultSet): void {
	if (!notes.faults?.includes(name)) notes.faults = [...(notes.faults ?? []), name];
}

function kindOf({rpc, request}: RpcCall): CallKind {
	const {volume_content_source: source}: CreateVolumeRequest = request;
	return {rpc, source: source?.snapshot ? 'snapshot' : source?.volume ? 'volume' : 'none'};
}

/** The volume a call is about, see faults.ts. */
async function subjectOf(pools: readonly Pool[], request: Named): Promise<string | undefined> {
	const {volume_content_source: source} = request;
	const snapshotId = source?.snapshot?.snapshot_id ?? request.snapshot_id;
	if (snapshotId) {
		const found = await Promise.all(pools.map((pool) => pool.snapshots.read(snapshotId)));
		return found.find((snapshot) => snapshot !== undefined)?.sourceVolumeId;
	}
	return source?.volume?.volume_id ?? request.source_volume_id ?? request.volume_id;
}
