/** What the VMI controller does next for one instance: which launcher Pod, and how far the instance is (§1.4, §1.5). Pure. */
import {type Condition, type ConditionNews, findCondition, upsertCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import {type InstancePhase, type InstanceStatus, names, type VirtualMachineInstance, type VolumeStatus} from './api.ts';
import type {Overhead} from './presence.ts';
import type {Readiness} from './readiness.ts';

export interface ObservedVolume {
	readonly name: string;
	readonly claimName: string;
	readonly claim: PersistentVolumeClaim | undefined;
	/** Only of a volume that names one. */
	readonly dataVolume: DataVolume | undefined;
	readonly isDataVolume: boolean;
	readonly readiness: Readiness;
}

export interface ObservedInstance {
	readonly instance: VirtualMachineInstance;
	readonly volumes: readonly ObservedVolume[];
	/** Controlled by this instance, the deleted ones too. */
	readonly pods: readonly Pod[];
	readonly overhead: (storageClass: string | undefined) => Overhead;
	/** RFC 3339. */
	readonly now: string;
}

export type InstanceAction =
	| {readonly do: 'createPod'; readonly temporary: boolean}
	| {readonly do: 'deletePod'; readonly pod: Pod; readonly gracePeriodSeconds?: number}
	| {readonly do: 'removeFinalizer'};

export interface InstancePlan {
	readonly actions: readonly InstanceAction[];
	readonly status: InstanceStatus;
	/** The status is not written either where this is about it; tried again at a limited rate. */
	readonly failure?: string;
}

const isTemporary = ({metadata}: Pod) => metadata.annotations?.[names.ephemeralProvisioning] !== undefined;

const synchronized: ConditionNews = {type: 'Synchronized', status: 'True', reason: '', message: ''};

/** Over the conditions Ready of all DataVolumes; one without it counts as Unknown. */
function dataVolumesReady(volumes: readonly ObservedVolume[]): ConditionNews | undefined {
	const ready = volumes
		.filter(({isDataVolume}) => isDataVolume)
		.map(({dataVolume}) => findCondition(dataVolume?.status?.conditions, 'Ready')?.status ?? 'Unknown');
	if (ready.length === 0) return undefined;
	return ready.every((status) => status === 'True')
		? {
				type: 'DataVolumesReady',
				status: 'True',
				reason: 'AllDVsReady',
				message: 'All of the VMI’s DVs are bound and ready',
			}
		: {
				type: 'DataVolumesReady',
				status: 'False',
				reason: 'NotAllDVsReady',
				message: 'Not all of the VMI’s DVs are ready',
			};
}

type News = readonly ConditionNews[];

function statusWith({instance, volumes, now}: ObservedInstance, phase: InstancePhase, news: News): InstanceStatus {
	const aggregated = dataVolumesReady(volumes);
	const conditions = [...news, ...(aggregated ? [aggregated] : [])].reduce<readonly Condition[]>(
		(list, one) => upsertCondition(list, one, now),
		instance.status?.conditions ?? [],
	);
	return {...instance.status, phase, conditions};
}

const isTrue = (text: string | undefined) => text === 'true';
const preallocationSuffixes = ['/storage.preallocation', '/storage.thick-provisioned'];

function volumeStatuses({volumes, overhead}: ObservedInstance): readonly VolumeStatus[] | {readonly error: string} {
	const statuses: VolumeStatus[] = [];
	for (const {name, claimName, claim} of volumes) {
		const preallocated = Object.entries(claim?.metadata.annotations ?? {}).some(
			([key, value]) => isTrue(value) && preallocationSuffixes.some((suffix) => key.endsWith(suffix)),
		);
		const common = {name, claimName, ...(preallocated && {preallocated})};
		if (claim?.spec.volumeMode === 'Block') {
			statuses.push(common);
			continue;
		}
		const found = overhead(claim?.spec.storageClassName);
		if ('error' in found) return found;
		statuses.push({...common, filesystemOverhead: found.value});
	}
	return statuses;
}

const podCondition = ({status}: Pod, type: string) => status?.conditions?.find((condition) => condition.type === type);

function waitingNews(pod: Pod): News {
	const scheduled = podCondition(pod, 'PodScheduled');
	const waiting = pod.status?.containerStatuses?.find(({state}) => state?.waiting)?.state?.waiting?.reason;
	const isPulling = waiting === 'ErrImagePull' || waiting === 'ImagePullBackOff';
	return [
		...(scheduled
			? [
					{
						type: 'PodScheduled',
						status: scheduled.status === 'False' ? ('False' as const) : ('True' as const),
						reason: scheduled.reason ?? '',
						message: scheduled.message ?? '',
					},
				]
			: []),
		isPulling ? {...synchronized, status: 'False', reason: waiting} : synchronized,
	];
}

function follow(observed: ObservedInstance, pod: Pod): InstancePlan {
	const running = {type: 'Ready', status: 'True', reason: '', message: ''} as const;
	const as = (phase: InstancePhase, news: News = []): InstancePlan => ({
		actions: [],
		status: statusWith(observed, phase, news),
	});
	if (pod.status?.phase === 'Failed') return as('Failed');
	if (pod.status?.phase === 'Succeeded') return as('Succeeded');
	// A launcher that somebody else deletes takes the machine with it.
	if (pod.metadata.deletionTimestamp) return as('Failed');
	if (podCondition(pod, 'Ready')?.status !== 'True') {
		return observed.instance.status?.phase === 'Running' ? as('Running') : as('Scheduling', waitingNews(pod));
	}
	const statuses = volumeStatuses(observed);
	if ('error' in statuses) {
		return {
			actions: [],
			status: observed.instance.status ?? {},
			failure: `failed to update volume status: ${statuses.error}`,
		};
	}
	const {status, ...rest} = as('Running', [running, ...waitingNews(pod)]);
	return {...rest, status: {...status, volumeStatus: statuses}};
}

function start(observed: ObservedInstance, temporary: readonly Pod[]): InstancePlan {
	const {volumes} = observed;
	const pending = (news: News, actions: readonly InstanceAction[] = []): InstancePlan => ({
		actions,
		status: statusWith(observed, 'Pending', news),
	});
	const failed = (): InstancePlan => ({actions: [], status: statusWith(observed, 'Failed', [])});
	const is = (kind: Readiness['is']) => volumes.find(({readiness}) => readiness.is === kind);
	const missing = is('claimMissing');
	const orphaned = is('orphaned')?.readiness;
	if (is('failed')) return failed();
	if (orphaned?.is === 'orphaned') return {...pending([]), failure: orphaned.message};
	if (missing) {
		const message = `PVC ${missing.claimName} is not there`;
		return pending([{type: 'Synchronized', status: 'False', reason: 'FailedPvcNotFound', message}]);
	}
	if (temporary.some(({status}) => status?.phase === 'Failed')) return failed();
	if (is('waitForFirstConsumer')) {
		return pending([synchronized], temporary.length > 0 ? [] : [{do: 'createPod', temporary: true}]);
	}
	const left = temporary.filter(({metadata}) => !metadata.deletionTimestamp);
	if (left.length > 0)
		return pending(
			[synchronized],
			left.map((pod) => ({do: 'deletePod', pod, gracePeriodSeconds: 0})),
		);
	if (is('provisioning') ?? is('quotaExceeded')) return pending([synchronized]);
	return {actions: [{do: 'createPod', temporary: false}], status: statusWith(observed, 'Scheduling', [synchronized])};
}

function end({instance, pods}: ObservedInstance): InstancePlan {
	const left = pods.filter(({metadata}) => !metadata.deletionTimestamp);
	const status = instance.status ?? {};
	if (pods.length === 0) {
		const isHeld = instance.metadata.finalizers?.includes(names.instanceFinalizer) ?? false;
		return {actions: isHeld ? [{do: 'removeFinalizer'}] : [], status};
	}
	return {actions: left.map((pod) => ({do: 'deletePod', pod})), status};
}

export function decideInstance(observed: ObservedInstance): InstancePlan {
	const {instance, pods} = observed;
	if (instance.metadata.deletionTimestamp) return end(observed);
	const phase = instance.status?.phase ?? '';
	if (phase === 'Failed' || phase === 'Succeeded') return {actions: [], status: instance.status ?? {}};
	const launcher = pods.find((pod) => !isTemporary(pod));
	if (launcher) return follow(observed, launcher);
	// It was there, and is gone.
	if (phase === 'Running') return {actions: [], status: statusWith(observed, 'Failed', [])};
	return start(observed, pods.filter(isTemporary));
}
