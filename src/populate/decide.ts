/**
 * What to do next to fill one claim. A prime claim is filled (by a worker Pod, or by a restore) and its volume is then
 * moved to the target, which binds complete or not at all. Where that is impossible (in-place.ts), a worker fills the target
 * itself.
 *
 * Between the worker's success and the move two things are made sure of: that the success is on record (the Pod may go),
 * and that the Pod is gone, so that its node has unmounted the volume before anybody else mounts it.
 */
import type {PersistentVolume, PersistentVolumeClaim, Pod, StorageClass} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import {formatQuantity, largest, parseQuantity, usableOnFilesystem} from '../api/quantity.ts';
import {parseTerminationMessage, type WorkerFailure, type WorkerResult} from '../api/worker-contract.ts';
import {diskSizeAnnotations, mayHoldDiskImage} from '../api/disk-size.ts';
import type {DataObject} from '../kube/resources.ts';
import {driverPolicy} from '../smartclone/driver-policy.ts';
import {
	contactOf,
	type CopyWanted,
	makeCopierPod,
	makeCopyKeys,
	makeCopySourceClaim,
	makeImporterPod,
	makeImportPrivate,
	makePrimeClaim,
	makeReceiverPod,
	hasPreallocated,
	makeSenderPod,
	requestBytes,
	toldContactOf,
	volumeModeOf,
	type WorkerSettings,
} from './objects.ts';
import {isBeingFilled, isPopulated} from './in-place.ts';
import {
	type ClaimCloneOrder,
	type Observed,
	type Order,
	primeNamespaceOf,
	type SnapshotCloneOrder,
	sourceRefOf,
} from './observe.ts';
import {isLocal} from './topology.ts';

type Succeeded = Extract<WorkerResult, {outcome: 'succeeded'}>;

export type WaitReason =
	| 'StorageClassMissing'
	| 'StorageClassNotCsi'
	| 'FirstConsumer'
	| 'SourceObjectMissing'
	/** The proxies of imports shall be trusted by certificates that are not there. */
	| 'ProxyCertificatesMissing'
	| 'ImportProxyNotValid'
	| 'CloneWithoutSource'
	| 'CloneSourceNotReady'
	| 'CloneSourceInUse'
	| 'CloneValidationFailed'
	| 'SnapshotNotReady'
	/** A restore has no Pod that would be scheduled, and no node can take it now. */
	| 'NoNode'
	/** The API server refuses what is made for the target: see refusals.ts. */
	| 'ErrExceededQuota'
	| 'ErrCreatingPVCPrime'
	| 'ErrStartingPod'
	| 'PrimeBinding'
	/** The target, which is to be filled in place, has no volume yet. */
	| 'TargetBinding'
	| 'WorkerStarting'
	| 'WorkerRunning'
	| 'WorkerLeaving'
	/** The Pod ended without a word of its own, and is made anew a little later. */
	| 'WorkerFailed'
	| 'Growing'
	| 'Binding';

export type PopulatePlan =
	| {readonly do: 'nothing'}
	| {readonly do: 'wait'; readonly reason: WaitReason; readonly message: string}
	/** Nothing more will happen by itself: another try cannot help. */
	| {readonly do: 'giveUp'; readonly failure: WorkerFailure; readonly message: string}
	| {readonly do: 'createClaim'; readonly claim: PersistentVolumeClaim}
	/**
	 * `keys`: the Secrets that the Pod and its other half mount, if it is the sender of a copy by two; their one key is put
	 * in when they are written. `secret`: the one of an import.
	 */
	| {
			readonly do: 'createWorker';
			readonly pod: Pod;
			readonly keys?: readonly DataObject[];
			readonly secret?: DataObject | undefined;
			/** The claim that is filled in place: a worker clears it, so the server itself is asked first whether it may. */
			readonly clears?: PersistentVolumeClaim;
	  }
	| {readonly do: 'deletePod'; readonly pod: Pod; readonly why: 'Orphan' | 'Finished' | 'Failed'}
	| {readonly do: 'deleteClaim'; readonly claim: PersistentVolumeClaim; readonly why: 'Orphan' | 'Moved'}
	/** What is known of its disk now, for clones that ask for no size. */
	| {
			readonly do: 'rememberDisk';
			readonly claim: PersistentVolumeClaim;
			readonly annotations: Readonly<Record<string, string>>;
	  }
	/** On the prime claim, or on the target itself. */
	| {
			readonly do: 'recordPopulated';
			readonly claim: PersistentVolumeClaim;
			readonly annotations: Readonly<Record<string, string>>;
	  }
	| {readonly do: 'grow'; readonly prime: PersistentVolumeClaim; readonly request: string}
	| {
			readonly do: 'moveVolume';
			readonly volume: PersistentVolume;
			readonly target: PersistentVolumeClaim;
			/** What the target is to say of its content. */
			readonly annotations: Readonly<Record<string, string>>;
	  };

const wait = (reason: WaitReason, message: string): PopulatePlan => ({do: 'wait', reason, message});

function removeOrphans({orphans}: Observed): PopulatePlan | undefined {
	const pod = orphans.pods.find((candidate) => !candidate.metadata.deletionTimestamp);
	if (pod) return {do: 'deletePod', pod, why: 'Orphan'};
	const claim = orphans.claims.find((candidate) => !candidate.metadata.deletionTimestamp);
	return claim && {do: 'deleteClaim', claim, why: 'Orphan'};
}

/** The target has its volume: what was made to get it goes. */
function cleanUp({worker, sender, made}: Observed): PopulatePlan {
	const pod = [worker, sender].find((candidate) => candidate && !candidate.metadata.deletionTimestamp);
	if (pod) return {do: 'deletePod', pod, why: 'Finished'};
	const claim = made.find((candidate) => !candidate.metadata.deletionTimestamp);
	return claim ? {do: 'deleteClaim', claim, why: 'Moved'} : {do: 'nothing'};
}

function waitForClass({target, storageClass}: Observed): PopulatePlan | undefined {
	const name = target?.spec.storageClassName;
	if (name === undefined)
		return wait('StorageClassMissing', 'The claim has no storage class and the cluster no default one');
	return storageClass ? undefined : wait('StorageClassMissing', `Storage class ${name} does not exist`);
}

/** Its provisioner would not wait for us: it would bind the target to an empty volume. */
function waitForCsi({target, storageClass, targetIsCsi}: Observed): PopulatePlan | undefined {
	if (targetIsCsi || target?.metadata.annotations?.[annotations.usePopulator] === 'true') return undefined;
	return wait(
		'StorageClassNotCsi',
		`Storage class ${storageClass?.metadata.name} is of provisioner ${storageClass?.provisioner}, which has no CSIDriver object and ignores dataSourceRef: have the claim made by a DataVolume, then it is filled in place`,
	);
}

/** The claim that a worker fills. */
function filledOf({inPlace, target, prime}: Observed): PersistentVolumeClaim | undefined {
	return inPlace ? target : prime;
}

/** Whether Kubernetes, too, would wait with this claim until a Pod that uses it has a node. */
export function waitsForConsumer(claim: PersistentVolumeClaim, storageClass: StorageClass | undefined): boolean {
	if (storageClass?.volumeBindingMode !== 'WaitForFirstConsumer') return false;
	const given = claim.metadata.annotations ?? {};
	return given[annotations.selectedNode] === undefined && given[annotations.bindImmediate] === undefined;
}

/** What a disk image on this claim may take. */
function usableBytes(claim: PersistentVolumeClaim, overheadOf: WorkerSettings['overheadOf']): bigint {
	const bytes = requestBytes(claim);
	return volumeModeOf(claim) === 'Block' ? bytes : usableOnFilesystem(bytes, overheadOf(claim.spec.storageClassName));
}

function claimSourceProblem(
	order: ClaimCloneOrder,
	target: PersistentVolumeClaim,
	overheadOf: WorkerSettings['overheadOf'],
): PopulatePlan | undefined {
	const name = `${order.source.metadata.namespace}/${order.source.spec.source.name}`;
	const {claim, writers} = order;
	if (!claim) return wait('CloneWithoutSource', `The source pvc ${name} doesn't exist`);
	// No Pod that would read it is scheduled any more.
	if (claim.metadata.deletionTimestamp) return wait('CloneWithoutSource', `The source pvc ${name} is being deleted`);
	if (claim.status?.phase !== 'Bound') return wait('CloneSourceNotReady', `The source pvc ${name} is not bound`);
	if (isBeingFilled(claim)) return wait('CloneSourceNotReady', `The source pvc ${name} is still being filled`);
	const has = usableBytes(claim, overheadOf);
	const wants = usableBytes(target, overheadOf);
	// Who has looked at the disk itself knows that it fits, and the worker looks again.
	if (wants < has && target.metadata.annotations?.[annotations.permissiveClone] === undefined) {
		return wait(
			'CloneValidationFailed',
			`The clone doesn't meet the validation requirements: target resources requests storage size is smaller than the source ${formatQuantity(wants)} < ${formatQuantity(has)}`,
		);
	}
	const [writer] = writers;
	if (writer)
		return wait(
			'CloneSourceInUse',
			`pod ${writer.metadata.namespace}/${writer.metadata.name} using PersistentVolumeClaim ${claim.metadata.name}`,
		);
	return undefined;
}

/** A restore of the snapshot can be the target itself: same driver, same mode. */
export function restoresDirectly(
	{content}: SnapshotCloneOrder,
	target: PersistentVolumeClaim,
	storageClass: StorageClass | undefined,
): boolean {
	const mode = content?.spec.sourceVolumeMode ?? 'Filesystem';
	return content !== undefined && content.spec.driver === storageClass?.provisioner && mode === volumeModeOf(target);
}

function snapshotProblem({source, snapshot, content}: SnapshotCloneOrder): PopulatePlan | undefined {
	const name = `${source.metadata.namespace}/${source.spec.source.name}`;
	if (!snapshot) return wait('CloneWithoutSource', `The source snapshot ${name} doesn't exist`);
	if (!content || snapshot.status?.readyToUse !== true)
		return wait('SnapshotNotReady', `The source snapshot ${name} is not ready to use`);
	return undefined;
}

/**
 * What a restore has at least. Drivers leave it out, say zero, or what is used of it; the volume that was cut knows better,
 * and whoever asks for the copy may know it when that volume is gone.
 */
function restoreBytes({source, snapshot, sourceVolume}: SnapshotCloneOrder): bigint {
	const sizes = [
		snapshot?.status?.restoreSize,
		sourceVolume?.spec.capacity?.['storage'],
		source.metadata.annotations?.[annotations.minimumSize],
	];
	return sizes.map((size) => parseQuantity(size ?? '0') ?? 0n).reduce(largest, 0n);
}

/** No Pod will be scheduled for a restore, and nobody who uses the target has a node. */
function mustChooseNode({storageClass}: Observed, target: PersistentVolumeClaim): boolean {
	const selected = target.metadata.annotations?.[annotations.selectedNode];
	return storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && selected === undefined;
}

function noNode({storageClass, readFrom}: Observed): PopulatePlan {
	const where = readFrom ? `, and can reach volume ${readFrom.metadata.name}` : '';
	return wait('NoNode', `No node is ready and schedulable, has the driver ${storageClass?.provisioner}${where}`);
}

function createPrime(observed: Observed, target: PersistentVolumeClaim, order: Order): PopulatePlan {
	const base = {
		target,
		namespace: primeNamespaceOf(target),
		kind: order.kind === 'import' ? 'import' : 'clone',
	} as const;
	const wants = requestBytes(target);
	const direct = order.kind === 'cloneSnapshot' && restoresDirectly(order, target, observed.storageClass);
	// A snapshot of local storage is restored where it is, and copied from there.
	if (direct && order.snapshot && !observed.apart) {
		if (mustChooseNode(observed, target) && !observed.node) return noNode(observed);
		const restoreSize = restoreBytes(order);
		const {equalSizeRestore} = driverPolicy(order.content?.spec.driver ?? '', observed.storageClass);
		const request = formatQuantity(equalSizeRestore && restoreSize > 0n ? restoreSize : largest(wants, restoreSize));
		return {
			do: 'createClaim',
			claim: makePrimeClaim({...base, snapshot: order.snapshot, request, node: observed.node}),
		};
	}
	return {do: 'createClaim', claim: makePrimeClaim({...base, request: formatQuantity(wants)})};
}

/** A claim restored from the snapshot of another driver, mode or node, to be copied from. In the class of its source, if that is known. */
function createCopySource(order: SnapshotCloneOrder, target: PersistentVolumeClaim): PopulatePlan {
	const {snapshot, content, classesOfDriver, sourceClass} = order;
	const storageClass = classesOfDriver.find(({metadata}) => metadata.name === sourceClass) ?? classesOfDriver[0];
	if (!snapshot || !content || !storageClass) {
		return wait(
			'StorageClassMissing',
			`No storage class has the snapshot's driver ${content?.spec.driver}: it can be restored nowhere`,
		);
	}
	const restoreSize = restoreBytes(order);
	const request = formatQuantity(restoreSize > 0n ? restoreSize : requestBytes(target));
	const volumeMode = content.spec.sourceVolumeMode === 'Block' ? 'Block' : 'Filesystem';
	return {do: 'createClaim', claim: makeCopySourceClaim(target, snapshot, {storageClass, volumeMode, request})};
}

function createWorker(
	observed: Observed,
	target: PersistentVolumeClaim,
	order: Order,
	settings: WorkerSettings,
): PopulatePlan {
	const filled = filledOf(observed);
	if (!filled) return {do: 'nothing'};
	if (order.kind === 'import') {
		if (!order.source) return importSourceMissing(target);
		const problem = order.source.spec.source.http && settings.importProxy?.problem;
		if (problem) return wait(problem.reason, problem.message);
		return {
			do: 'createWorker',
			pod: makeImporterPod(target, filled, order.source, settings),
			secret: makeImportPrivate(target, filled, order.source, settings),
		};
	}
	const copy = copyWanted(observed, target, order, settings);
	if ('do' in copy) return copy;
	if (mayTurnOutApart(observed, target)) {
		return wait(
			'PrimeBinding',
			`Claim ${filled.metadata.name} is not bound yet, and its node decides how it is filled`,
		);
	}
	return {do: 'createWorker', pod: makeCopierPod(copy)};
}

/** The claims of a copy, or the plan that makes what it reads. */
function copyWanted(
	observed: Observed,
	target: PersistentVolumeClaim,
	order: Order,
	settings: WorkerSettings,
): CopyWanted | PopulatePlan {
	const {readFrom, sourceAtTarget} = observed;
	const filled = filledOf(observed);
	if (!filled || order.kind === 'import' || order.kind === 'cloneMissing') return {do: 'nothing'};
	const source = order.kind === 'cloneClaim' ? order.claim : order.copySource;
	if (!source) return order.kind === 'cloneSnapshot' ? createCopySource(order, target) : {do: 'nothing'};
	// A prime claim is where its source is.
	const atTarget = filled.metadata.namespace === source.metadata.namespace ? order.source : sourceAtTarget;
	if (!atTarget) return cloneSourceMissing(target, target.metadata.namespace);
	const {preallocation = settings.preallocation, priorityClassName} = order.source.spec;
	return {
		target,
		filled,
		source,
		orders: {atSource: order.source, atTarget},
		// What was restored for this copy is nobody else's; a claim of somebody may be written to between two tries.
		sourceIsFixed: order.kind === 'cloneSnapshot' || source.metadata.annotations?.[annotations.immutable] === 'true',
		readFrom,
		preallocation,
		priorityClassName,
		settings,
	};
}

/** What is filled binds to whatever node the storage likes, and that is not known yet. */
function mayTurnOutApart(observed: Observed, target: PersistentVolumeClaim): boolean {
	const {readFrom, storageClass, primeVolume, inPlace} = observed;
	const bound = inPlace ? target.spec.volumeName !== undefined : primeVolume !== undefined;
	const placed = bound || target.metadata.annotations?.[annotations.selectedNode] !== undefined;
	return isLocal(readFrom) && storageClass?.volumeBindingMode !== 'WaitForFirstConsumer' && !placed;
}

/** What was begun goes on in its way; a Pod that was not begun goes where the volumes are. */
function isByTwo({worker, sender, apart}: Observed): boolean {
	if (sender) return true;
	return worker ? toldContactOf(worker) !== undefined : apart;
}

/**
 * A copy by two Pods, on two nodes or in two namespaces. The sender comes first, because the receiver must be told its
 * address; a sender that was made anew has another one and another key, so the receiver is made anew as well, and goes on
 * where it was.
 */
function fillByTwo(
	observed: Observed,
	target: PersistentVolumeClaim,
	order: Order,
	settings: WorkerSettings,
): PopulatePlan {
	const {worker, sender, nowMs} = observed;
	const filled = filledOf(observed);
	if (!filled) return {do: 'nothing'};
	if (worker?.status?.phase === 'Succeeded' || worker?.status?.phase === 'Failed') {
		const plan = tendWorker(observed, worker, filled);
		const isOver = plan.do === 'giveUp' && sender && !sender.metadata.deletionTimestamp;
		return isOver ? {do: 'deletePod', pod: sender, why: 'Finished'} : plan;
	}
	const copy = copyWanted(observed, target, order, settings);
	if ('do' in copy) return copy;
	if (!sender) return {do: 'createWorker', pod: makeSenderPod(copy), keys: makeCopyKeys(copy)};
	if (sender.metadata.deletionTimestamp) return wait('WorkerLeaving', `Pod ${sender.metadata.name} is being deleted`);
	const phase = sender.status?.phase;
	if (phase === 'Succeeded' || phase === 'Failed') return replaceWorker(sender, nowMs);
	const contact = contactOf(sender);
	if (!contact) return wait('WorkerStarting', `Pod ${sender.metadata.name} is starting`);
	if (!worker) return {do: 'createWorker', pod: makeReceiverPod(copy, contact)};
	const told = toldContactOf(worker);
	const isTold = told?.address === contact.address && told.keyName === contact.keyName;
	if (!worker.metadata.deletionTimestamp && !isTold) return {do: 'deletePod', pod: worker, why: 'Failed'};
	return tendWorker(observed, worker, filled);
}

/** How the worker's container ended, if it did. */
export function workerEnd(
	worker: Pod,
): {readonly result: WorkerResult | undefined; readonly exitCode: number; readonly text: string} | undefined {
	const terminated = worker.status?.containerStatuses?.[0]?.state?.terminated;
	if (!terminated) return undefined;
	return {
		result: parseTerminationMessage(terminated.message),
		exitCode: terminated.exitCode,
		text: terminated.message ?? terminated.reason ?? '',
	};
}

/** A Pod that a node refuses at once would otherwise be deleted and made again as fast as the API server allows. */
export const workerRetryMs = 10_000;

function replaceWorker(worker: Pod, nowMs: number): PopulatePlan {
	const ageMs = nowMs - Date.parse(worker.metadata.creationTimestamp ?? '');
	if (ageMs >= workerRetryMs) return {do: 'deletePod', pod: worker, why: 'Failed'};
	const {reason, message} = worker.status ?? {};
	return wait(
		'WorkerFailed',
		`Pod ${worker.metadata.name} ended without success${reason ? ` (${reason}: ${message})` : ''} and is made anew`,
	);
}

/** Written before the success is on record, while the worker's word can be read. Whoever uses the disk may grow it with its claim. */
function rememberDisk({target, order, filledVolume}: Observed, {virtualBytes}: Succeeded): PopulatePlan | undefined {
	const capacity = filledVolume?.spec.capacity?.['storage'];
	const isArchive = order?.kind === 'import' && order.source?.spec.contentType === 'archive';
	if (!target || !capacity || virtualBytes === undefined || isArchive || !mayHoldDiskImage(target)) return undefined;
	const news = diskSizeAnnotations(BigInt(virtualBytes), capacity);
	const isNew = Object.entries(news).some(([name, value]) => target.metadata.annotations?.[name] !== value);
	return isNew ? {do: 'rememberDisk', claim: target, annotations: news} : undefined;
}

/** A target that was filled itself says at once what others say when their volume is moved to them. */
function newsOfFilled({order, inPlace}: Observed, worker: Pod, filled: PersistentVolumeClaim): Record<string, string> {
	return {
		...(hasPreallocated(worker) && {[annotations.preallocation]: 'true'}),
		...(inPlace && order && {...newsOfTarget(order, filled, filled), [annotations.podPhase]: 'Succeeded'}),
	};
}

function tendWorker(observed: Observed, worker: Pod, filled: PersistentVolumeClaim): PopulatePlan {
	const {nowMs} = observed;
	if (worker.metadata.deletionTimestamp) return wait('WorkerLeaving', `Pod ${worker.metadata.name} is being deleted`);
	switch (worker.status?.phase) {
		case 'Succeeded': {
			const result = workerEnd(worker)?.result;
			if (result?.outcome === 'succeeded')
				return (
					rememberDisk(observed, result) ?? {
						do: 'recordPopulated',
						claim: filled,
						annotations: {[annotations.populated]: 'true', ...newsOfFilled(observed, worker, filled)},
					}
				);
			if (result?.outcome === 'failed') return {do: 'giveUp', failure: result.reason, message: result.message};
			// Exit code 0 without a word of its own: not a worker of ours, or its message was lost. Do it again.
			return replaceWorker(worker, nowMs);
		}
		case 'Failed':
			// Evicted, refused, or its node is gone: the kubelet does not start it again.
			return replaceWorker(worker, nowMs);
		case 'Running':
			return wait('WorkerRunning', `Pod ${worker.metadata.name} is running`);
		default:
			return wait('WorkerStarting', `Pod ${worker.metadata.name} is starting`);
	}
}

function fill(observed: Observed, target: PersistentVolumeClaim, order: Order, settings: WorkerSettings): PopulatePlan {
	const {worker} = observed;
	const filled = filledOf(observed);
	if (!filled) return {do: 'nothing'};
	if (order.kind !== 'import' && isByTwo(observed)) return fillByTwo(observed, target, order, settings);
	if (worker) return tendWorker(observed, worker, filled);
	return createWorker(observed, target, order, settings);
}

/** Made so only where a restore can be the target itself. */
function isRestore(prime: PersistentVolumeClaim | undefined): boolean {
	return prime?.spec.dataSource?.kind === 'VolumeSnapshot';
}

/** A restore needs no worker: it is complete when it is bound. */
function isComplete({prime}: Observed, order: Order): boolean {
	if (prime && isPopulated(prime)) return true;
	return order.kind === 'cloneSnapshot' && isRestore(prime);
}

/** Tools ask the claim, not the Pod, which is gone by now. */
function newsOfTarget(order: Order, prime: PersistentVolumeClaim, target: PersistentVolumeClaim) {
	const {[annotations.contentType]: contentType} = target.metadata.annotations ?? {};
	return {
		...(order.kind === 'import' && {
			[annotations.podPhase]: 'Succeeded',
			[annotations.contentType]: contentType ?? order.source?.spec.contentType ?? 'kubevirt',
		}),
		...(prime.metadata.annotations?.[annotations.preallocation] === 'true' && {[annotations.preallocation]: 'true'}),
	};
}

/** The target binds only to a volume that is large enough, and says nothing where it is not. */
function handOver(observed: Observed, target: PersistentVolumeClaim, order: Order): PopulatePlan {
	const {prime, primeVolume, worker, sender} = observed;
	if (!prime) return {do: 'nothing'};
	if (worker && !worker.metadata.deletionTimestamp) return {do: 'deletePod', pod: worker, why: 'Finished'};
	if (worker) return wait('WorkerLeaving', `Pod ${worker.metadata.name} is being deleted`);
	if (sender && !sender.metadata.deletionTimestamp) return {do: 'deletePod', pod: sender, why: 'Finished'};
	if (primeVolume?.spec.claimRef?.uid === target.metadata.uid)
		return wait('Binding', `Volume ${primeVolume?.metadata.name} is being bound`);
	if (prime.status?.phase !== 'Bound' || !primeVolume)
		return wait('PrimeBinding', `Claim ${prime.metadata.name} is not bound yet`);
	const wants = requestBytes(target);
	if (requestBytes(prime) < wants) return {do: 'grow', prime, request: formatQuantity(wants)};
	const has = parseQuantity(primeVolume.spec.capacity?.['storage'] ?? '0') ?? 0n;
	if (has < wants)
		return wait('Growing', `Volume ${primeVolume.metadata.name} is being grown to ${formatQuantity(wants)}`);
	return {do: 'moveVolume', volume: primeVolume, target, annotations: newsOfTarget(order, prime, target)};
}

const importSourceMissing = (target: PersistentVolumeClaim) =>
	wait('SourceObjectMissing', `VolumeImportSource ${sourceRefOf(target)?.name} does not exist`);

const cloneSourceMissing = (target: PersistentVolumeClaim, namespace = '') =>
	wait(
		'SourceObjectMissing',
		`VolumeCloneSource ${sourceRefOf(target)?.name} does not exist in namespace ${namespace}`,
	);

function sourceProblem(
	observed: Observed,
	target: PersistentVolumeClaim,
	overheadOf: WorkerSettings['overheadOf'],
): PopulatePlan | undefined {
	const {prime, worker, sender, order} = observed;
	// What was begun is finished: a source that is used again after its copy began reading is for the copy to survive.
	if (filledOf(observed) && [worker, sender].some((pod) => pod?.spec.nodeName)) return undefined;
	// What was restored needs its snapshot no longer.
	if (isRestore(prime) && prime?.status?.phase === 'Bound') return undefined;
	if (prime && isPopulated(prime)) return undefined;
	switch (order?.kind) {
		case 'import':
			return order.source ? undefined : importSourceMissing(target);
		case 'cloneMissing':
			return cloneSourceMissing(target, primeNamespaceOf(target));
		case 'cloneClaim':
			return claimSourceProblem(order, target, overheadOf);
		case 'cloneSnapshot':
			return snapshotProblem(order);
		case undefined:
			return undefined;
		default:
			return order satisfies never;
	}
}

/** A consumer decides where it is: before that the worker would. It is not enough that the consumer has a node. */
function bindsWithConsumer(
	{storageClass}: Observed,
	target: PersistentVolumeClaim,
	{honorsFirstConsumer}: WorkerSettings,
): boolean {
	const atOnce = !honorsFirstConsumer || target.metadata.annotations?.[annotations.bindImmediate] !== undefined;
	return storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && !atOnce;
}

function decideInPlace(
	observed: Observed,
	target: PersistentVolumeClaim,
	order: Order,
	settings: WorkerSettings,
): PopulatePlan {
	if (isPopulated(target)) {
		const plan = cleanUp(observed);
		const leaving = observed.worker ?? observed.sender;
		// As long as it is there, its node may not have unmounted the volume.
		return plan.do === 'nothing' && leaving
			? wait('WorkerLeaving', `Pod ${leaving.metadata.name} is being deleted`)
			: plan;
	}
	if (target.status?.phase === 'Lost') return {do: 'nothing'};
	if (target.status?.phase !== 'Bound') {
		const problem = waitForClass(observed);
		if (problem) return problem;
		if (bindsWithConsumer(observed, target, settings))
			return wait('FirstConsumer', 'Waiting until a Pod that uses the claim has a node, and the claim a volume');
		// In a class that waits for consumers the worker is the first one.
		if (observed.storageClass?.volumeBindingMode !== 'WaitForFirstConsumer')
			return wait('TargetBinding', `Claim ${target.metadata.name} is not bound yet`);
	}
	const plan = sourceProblem(observed, target, settings.overheadOf) ?? fill(observed, target, order, settings);
	return plan.do === 'createWorker' ? {...plan, clears: target} : plan;
}

export function decide(observed: Observed, settings: WorkerSettings): PopulatePlan {
	const orphan = removeOrphans(observed);
	if (orphan) return orphan;
	const {target, order, prime} = observed;
	if (!target || target.metadata.deletionTimestamp || !order) return {do: 'nothing'};
	if (observed.inPlace) return decideInPlace(observed, target, order, settings);
	if (target.spec.volumeName)
		return target.status?.phase === 'Bound' ? cleanUp(observed) : wait('Binding', 'The claim is being bound');
	if (prime?.metadata.deletionTimestamp) return wait('PrimeBinding', `Claim ${prime.metadata.name} is being deleted`);
	const problem = waitForClass(observed) ?? waitForCsi(observed);
	if (problem) return problem;
	if (!prime && settings.honorsFirstConsumer && waitsForConsumer(target, observed.storageClass)) {
		return wait('FirstConsumer', 'Waiting until a Pod that uses the claim has a node');
	}
	const missing = sourceProblem(observed, target, settings.overheadOf);
	if (missing) return missing;
	if (!prime) return createPrime(observed, target, order);
	return isComplete(observed, order) ? handOver(observed, target, order) : fill(observed, target, order, settings);
}
