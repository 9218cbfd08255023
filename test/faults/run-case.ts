/** One case of the fault table: a golden disk of its own, faults about it, clones of it, what became of them. */
import path from 'node:path';
import type {DataVolume} from '../../src/api/datavolume.ts';
import {annotations} from '../../src/api/names.ts';
import * as resources from '../../src/kube/resources.ts';
import type {LocalCluster} from '../cluster/cluster.ts';
import {type JournalRecord, liveObjects, readJournal} from '../cluster/csi/journal.ts';
import {until} from '../cluster/until.ts';
import {api, createDataVolume, eventsOf, handleOf, immutable, pvcSource, type Wanted} from '../e2e/world.ts';
import {waitForDataVolume, waitForSucceeded} from '../support/data-volumes.ts';
import {digestOf} from '../support/disk-images.ts';
import {setFaults} from '../support/storage-faults.ts';
import {type FaultCase, faultsOfCase} from './switches.ts';

export interface FaultWorld {
	readonly cluster: LocalCluster;
	/** What the golden disks of all cases are clones of. */
	readonly base: DataVolume;
	/** By how long they let clones wait for what may come about. */
	readonly storageClasses: {readonly patient: string; readonly impatient: string};
	readonly imageBytes: number;
	readonly imageSha256: string;
	readonly namespaces: {readonly golden: string; readonly other: string};
}

export interface ClonedDisk {
	/** `Succeeded`, or what it says of itself instead. */
	readonly end: string;
	readonly way: string;
	/** Why it went this way, where it is not the best one. */
	readonly reason: string;
	readonly content: 'right' | 'wrong' | 'not read';
}

export interface CaseResult {
	readonly clones: readonly ClonedDisk[];
	/** Snapshots that the storage cut of the golden volume for the clones, the user's own not counted. */
	readonly cuts: number;
	/** Fault switches that calls about the golden volume have met. */
	readonly met: readonly string[];
	/** From the request to the last clone. */
	readonly seconds: number;
	/** What the API or the storage still had of it at the end. */
	readonly left: readonly string[];
}

/** Until a clone has its end, and until everything of a case is gone. Back-off of the sidecars is the most of it. */
const endMs = 150_000;
const goneMs = 90_000;

const driver = 'reflink.csi.onesnap.io';
const cloneMiB = {equal: '16Mi', larger: '32Mi'} as const;

export async function runCase(world: FaultWorld, faultCase: FaultCase, id: string): Promise<CaseResult> {
	const run = new CaseRun(world, faultCase, id);
	await run.prepare();
	await using faults = await setFaults(world.cluster, {volumes: {[run.handle]: faultsOfCase(faultCase, run.lost)}});
	const clones = await run.clone();
	const left = await run.remove();
	const result = {...clones, ...(await run.journaled()), left};
	// Nothing of a case that got stuck may stay in the way of the others.
	if (left.length > 0) await faults.change({});
	return result;
}

class CaseRun {
	readonly #world: FaultWorld;
	readonly #case: FaultCase;
	readonly #id: string;
	#golden: DataVolume | undefined;
	/** Of the golden volume. */
	handle = '';
	/** Snapshots that there were before the faults. */
	lost: readonly string[] = [];
	#handles: readonly string[] = [];

	constructor(world: FaultWorld, faultCase: FaultCase, id: string) {
		this.#world = world;
		this.#case = faultCase;
		this.#id = id;
	}

	#make(name: string, wanted: Pick<Wanted, 'namespace' | 'source' | 'annotations' | 'size'>): Promise<DataVolume> {
		const {patient, impatient} = this.#world.storageClasses;
		const storageClass = this.#case.some(({lasts}) => lasts) ? impatient : patient;
		return createDataVolume({name: `${this.#id}-${name}`, storageClass, volumeMode: 'Block', ...wanted});
	}

	async prepare(): Promise<void> {
		const {base, namespaces} = this.#world;
		const namespace = namespaces.golden;
		const size = cloneMiB.equal;
		this.#golden = await this.#make('golden', {namespace, source: pvcSource(base), annotations: immutable, size});
		await waitForSucceeded(api, [this.#golden]);
		this.handle = await handleOf(this.#golden);
		if (this.#case.some(({before}) => before === 'snapshot')) await this.#snapshotOfUser();
		if (!this.#case.some(({before}) => before === 'clone')) return;
		const earlier = await this.#make('earlier', {namespace, source: pvcSource(this.#golden), size});
		await waitForSucceeded(api, [earlier]);
		const {snapshots} = liveObjects(await this.#records());
		const ofUser = `${this.#id}-mine`;
		const content = (await api.list(resources.volumeSnapshotContents)).items.find(
			({spec}) => spec.volumeSnapshotRef.name === ofUser,
		);
		this.lost = snapshots
			.filter(
				({sourceVolumeId, snapshotId}) =>
					sourceVolumeId === this.handle && snapshotId !== content?.status?.snapshotHandle,
			)
			.map(({snapshotId}) => snapshotId);
	}

	async #snapshotOfUser(): Promise<void> {
		const metadata = {namespace: this.#world.namespaces.golden, name: `${this.#id}-mine`};
		await api.create(resources.volumeSnapshots, {
			apiVersion: 'snapshot.storage.k8s.io/v1',
			kind: 'VolumeSnapshot',
			metadata,
			spec: {source: {persistentVolumeClaimName: `${this.#id}-golden`}},
		});
		await until('the snapshot of the user is ready', async () =>
			(await api.get(resources.volumeSnapshots, metadata)).status?.readyToUse ? true : undefined,
		);
	}

	async clone(): Promise<Pick<CaseResult, 'clones' | 'seconds'>> {
		const {namespaces} = this.#world;
		if (!this.#golden) throw new Error('prepare comes first');
		const source = pvcSource(this.#golden);
		const size = this.#case.some(({larger}) => larger) ? cloneMiB.larger : cloneMiB.equal;
		const startedAt = performance.now();
		const clones = await Promise.all([
			this.#make('own', {namespace: namespaces.golden, source, size}),
			this.#make('other', {namespace: namespaces.other, source, size}),
		]);
		const ends = await Promise.all(clones.map(endOf));
		const seconds = (performance.now() - startedAt) / 1000;
		return {clones: await Promise.all(clones.map((clone, index) => this.#look(clone, ends[index] ?? ''))), seconds};
	}

	async #look(clone: DataVolume, end: string): Promise<ClonedDisk> {
		const {metadata} = await api.get(resources.dataVolumes, clone.metadata);
		const claim = await api.find(resources.persistentVolumeClaims, clone.metadata);
		const told = (await eventsOf(clone)).filter(({type}) => type === 'Warning').map(({message}) => message);
		return {
			end,
			way: metadata.annotations?.[annotations.cloneType] ?? 'none',
			reason: [claim?.metadata.annotations?.[annotations.cloneFallbackReason] ?? '', ...told]
				.filter(Boolean)
				.join('; '),
			content: end === 'Succeeded' ? await this.#content(clone) : 'not read',
		};
	}

	/** Read beside the API, in the storage's own files: a Pod for each would take longer than all else. */
	async #content(clone: DataVolume): Promise<'right' | 'wrong'> {
		const {cluster, imageBytes, imageSha256} = this.#world;
		const file = path.join(cluster.poolDir, 'reflink', 'volumes', await handleOf(clone));
		// A worker's node may still be about to detach the volume; then the kernel has written everything.
		return until(
			`the content of ${clone.metadata.name}`,
			async () => ((await digestOf(file, imageBytes)) === imageSha256 ? ('right' as const) : undefined),
			{timeoutMs: 20_000, intervalMs: 500},
		).catch(() => 'wrong' as const);
	}

	async #records(): Promise<readonly JournalRecord[]> {
		return readJournal(this.#world.cluster.journals[driver] ?? '');
	}

	async journaled(): Promise<Pick<CaseResult, 'cuts' | 'met'>> {
		const records = await this.#records();
		const snapshots = this.#cutIn(records);
		const ofUser = this.#case.some(({before}) => before === 'snapshot') ? 1 : 0;
		const about = records.filter(
			({id = '', request, result}) =>
				id === this.handle ||
				request['source_volume_id'] === this.handle ||
				snapshots.has(id) ||
				snapshots.has(result?.sourceSnapshotId ?? sourceSnapshotOf(request) ?? ''),
		);
		return {cuts: snapshots.size - ofUser, met: [...new Set(about.flatMap(({faults = []}) => faults))]};
	}

	/** Handles of all snapshots that the storage ever cut of the golden volume; also where the answer was lost. */
	#cutIn(records: readonly JournalRecord[]): ReadonlySet<string> {
		const cuts = records.filter(
			({rpc, code, request}) =>
				rpc === 'CreateSnapshot' &&
				request['source_volume_id'] === this.handle &&
				(code === 'OK' || code === 'DEADLINE_EXCEEDED'),
		);
		return new Set(cuts.map(({id = ''}) => id));
	}

	/** Deletes everything while the faults last, and says what is left. */
	async remove(): Promise<readonly string[]> {
		const {namespaces} = this.#world;
		const ofCase = await this.#dataVolumes();
		this.#handles = await Promise.all(ofCase.map((each) => handleOf(each).catch(() => '')));
		await api.delete(resources.volumeSnapshots, {namespace: namespaces.golden, name: `${this.#id}-mine`});
		if (this.#golden) await api.delete(resources.dataVolumes, this.#golden.metadata);
		if (this.#case.some(({goldenFirst}) => goldenFirst)) await this.#untilHeld();
		await Promise.all(ofCase.map(({metadata}) => api.delete(resources.dataVolumes, metadata)));
		let left: readonly string[] = [];
		await until(
			'nothing of it is left',
			async () => {
				left = await this.#left();
				return left.length === 0 ? true : undefined;
			},
			{timeoutMs: goneMs, intervalMs: 500},
		).catch(() => undefined);
		return left;
	}

	/** Where no snapshot was restored there is none to hold. */
	async #untilHeld(): Promise<void> {
		const restored = async () => liveObjects(await this.#records()).volumes.some((volume) => this.#isRestored(volume));
		if (!(await restored())) return;
		await until('the storage has refused to delete the snapshot', async () =>
			(await this.journaled()).met.includes('clonesDepend') ? true : undefined,
		).catch(() => undefined);
	}

	#isRestored({volumeId, sourceSnapshotId}: {readonly volumeId: string; readonly sourceSnapshotId?: string}): boolean {
		return this.#handles.includes(volumeId) && volumeId !== this.handle && sourceSnapshotId !== undefined;
	}

	async #dataVolumes(): Promise<readonly DataVolume[]> {
		const {items} = await api.list(resources.dataVolumes);
		return items.filter(({metadata}) => this.#isOurs(metadata));
	}

	#isOurs({namespace, name = ''}: {readonly namespace?: string; readonly name?: string}): boolean {
		const {golden, other} = this.#world.namespaces;
		return (namespace === golden || namespace === other) && name.startsWith(`${this.#id}-`);
	}

	async #left(): Promise<readonly string[]> {
		const claims = (await api.list(resources.persistentVolumeClaims)).items.filter(({metadata}) =>
			this.#isOurs(metadata),
		);
		const volumes = (await api.list(resources.persistentVolumes)).items.filter(
			({spec}) => spec.claimRef && this.#isOurs(spec.claimRef),
		);
		const shared = (await api.list(resources.sharedSnapshots)).items.filter(({spec}) => this.#isOurs(spec.source));
		const records = await this.#records();
		const cut = this.#cutIn(records);
		const contents = (await api.list(resources.volumeSnapshotContents)).items.filter(
			({spec: {source}}) => source.volumeHandle === this.handle || cut.has(source.snapshotHandle ?? ''),
		);
		const contentNames = new Set(contents.map(({metadata}) => metadata.name));
		const snapshots = (await api.list(resources.volumeSnapshots)).items.filter(
			({metadata: {namespace = ''}, spec: {source}}) =>
				this.#isOurs({namespace, name: source.persistentVolumeClaimName ?? ''}) ||
				contentNames.has(source.volumeSnapshotContentName ?? ''),
		);
		const stored = liveObjects(records);
		return [
			...[...claims, ...volumes, ...shared, ...contents, ...snapshots, ...(await this.#dataVolumes())].map(
				({kind, metadata}) => `${kind} ${metadata.name}`,
			),
			...stored.snapshots
				.filter(({sourceVolumeId}) => sourceVolumeId === this.handle)
				.map(({snapshotId}) => `stored snapshot ${snapshotId}`),
			...stored.volumes
				.filter(({volumeId, sourceVolumeId}) => this.#handles.includes(volumeId) || sourceVolumeId === this.handle)
				.map(({volumeId}) => `stored volume ${volumeId}`),
		];
	}
}

function sourceSnapshotOf(request: Readonly<Record<string, unknown>>): string | undefined {
	const {volume_content_source: source} = request as {
		volume_content_source?: {snapshot?: {snapshot_id?: string}};
	};
	return source?.snapshot?.snapshot_id;
}

async function endOf(clone: DataVolume): Promise<string> {
	const isOver = ({status}: DataVolume) => status?.phase === 'Succeeded' || status?.phase === 'Failed';
	try {
		const {status} = await waitForDataVolume(api, clone, isOver, endMs);
		if (status?.phase === 'Succeeded') return status.phase;
	} catch (error) {
		return error instanceof Error ? error.message : String(error);
	}
	return `Failed: ${JSON.stringify((await api.get(resources.dataVolumes, clone.metadata)).status?.conditions)}`;
}
