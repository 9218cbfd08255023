/** What the VM controller does next for one VirtualMachine: its DataVolumes first (§1.1, §1.3, §1.4), then its instance. Pure. */
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import type {EventText} from '../../src/kube/events.ts';
import {
	controlledBy,
	controllerOf,
	type DataVolumeTemplate,
	isControlledBy,
	kubevirtVersion,
	names,
	type StartFailure,
	type StateChangeRequest,
	type VirtualMachine,
	type VirtualMachineInstance,
} from './api.ts';
import {adoption, makeDataVolume, type Resolved} from './data-volume.ts';
import {letsStart, phaseReadiness, type Readiness, readinessOf} from './readiness.ts';

export interface ObservedTemplate {
	readonly template: DataVolumeTemplate;
	/** Of the template's name; the rest of these is looked at only where there is none. */
	readonly dataVolume: DataVolume | undefined;
	readonly claim: PersistentVolumeClaim | undefined;
	/** Of a sourceRef. */
	readonly resolved?: Resolved | undefined;
	/** What the review of the service account said. */
	readonly denied?: string | undefined;
	/** A source claim that is not there (yet), as namespace/name. */
	readonly missingSource?: string | undefined;
}

export interface ObservedVm {
	readonly vm: VirtualMachine;
	readonly instance: VirtualMachineInstance | undefined;
	readonly templates: readonly ObservedTemplate[];
	/** In the VM's namespace, by name. */
	readonly findDataVolume: (name: string) => DataVolume | undefined;
	/** A DataVolume was created and has not been seen since: nothing is done meanwhile. */
	readonly expecting: boolean;
	readonly nowMs: number;
	/** Times the pause of KubeVirt between two starts that fail. */
	readonly pace: number;
	/** Between 0 and 1. */
	readonly jitter: number;
}

export type VmAction =
	| {readonly do: 'createDataVolume'; readonly dataVolume: DataVolume; readonly claimExists: boolean}
	| {readonly do: 'adopt'; readonly dataVolume: DataVolume; readonly patch: ReturnType<typeof adoption>}
	| {readonly do: 'createInstance'; readonly instance: VirtualMachineInstance}
	| {readonly do: 'deleteInstance'; readonly instance: VirtualMachineInstance};

export interface VmPlan {
	readonly actions: readonly VmAction[];
	readonly events: readonly EventText[];
	/** Shown as the condition Failure, reason FailedCreate; the VM is tried again at a limited rate. */
	readonly failure?: string;
	readonly requests: readonly StateChangeRequest[];
	readonly startFailure?: StartFailure | undefined;
	readonly recheckAfterMs?: number;
}

interface Disks {
	readonly actions: readonly VmAction[];
	readonly events: readonly EventText[];
	readonly failure?: string;
	readonly ready: boolean;
}

/** What `virtctl` asked for, or what the run strategy says. */
export function wantsToRun({spec, status}: VirtualMachine, instance: VirtualMachineInstance | undefined): boolean {
	const asked = status?.stateChangeRequests?.some(({action}) => action === 'Start') ?? false;
	switch (spec.runStrategy) {
		case 'Always':
			return true;
		case 'Halted':
			return false;
		case 'Manual':
			return asked || instance !== undefined;
		default:
			return spec.runStrategy satisfies never;
	}
}

const warning = (reason: string, message: string): EventText => ({type: 'Warning', reason, message});

/** Of the DataVolume where it has something to say, else of its claim. */
function templateReadiness({findDataVolume}: ObservedVm, dataVolume: DataVolume, {claim}: ObservedTemplate): Readiness {
	const own = phaseReadiness(dataVolume);
	if (own.is === 'failed' || own.is === 'quotaExceeded') return own;
	const readiness = readinessOf(claim, findDataVolume);
	return readiness.is === 'claimMissing' ? {is: 'provisioning'} : readiness;
}

function existing(observed: ObservedVm, dataVolume: DataVolume, given: ObservedTemplate): Disks {
	const {vm} = observed;
	const {name} = dataVolume.metadata;
	const none = {actions: [], events: []};
	const readiness = templateReadiness(observed, dataVolume, given);
	if (readiness.is === 'quotaExceeded' || readiness.is === 'orphaned')
		return {...none, failure: readiness.message, ready: false};
	const actions: VmAction[] = [];
	if (!isControlledBy(dataVolume, vm)) {
		if (controllerOf(dataVolume)) return {...none, failure: `DataVolume ${name} is of somebody else`, ready: false};
		actions.push({do: 'adopt', dataVolume, patch: adoption(vm, dataVolume)});
	}
	const events =
		readiness.is === 'failed'
			? [warning('FailedDataVolumeImport', `DataVolume ${name} failed to import disk image`)]
			: [];
	return {actions, events, ready: letsStart(readiness)};
}

function missing({vm}: ObservedVm, given: ObservedTemplate): Disks {
	const {template, resolved, denied, missingSource, claim} = given;
	const {name} = template.metadata;
	if (resolved && 'error' in resolved) return {actions: [], events: [], failure: resolved.error, ready: false};
	if (denied !== undefined) {
		const message = `Not authorized to create DataVolume ${name}: ${denied}`;
		return {actions: [], events: [warning('UnauthorizedDataVolumeCreate', message)], failure: message, ready: false};
	}
	const dataVolume = makeDataVolume(vm, template, resolved?.source);
	const events =
		// The letter is missing there too.
		missingSource === undefined ? [] : [warning('SourcePVCNotAvailabe', `Source PVC ${missingSource} not available`)];
	return {actions: [{do: 'createDataVolume', dataVolume, claimExists: claim !== undefined}], events, ready: false};
}

/** In the order of the templates, up to the first error. */
function disksOf(observed: ObservedVm): Disks {
	const actions: VmAction[] = [];
	const events: EventText[] = [];
	let ready = true;
	for (const given of observed.templates) {
		const disk = given.dataVolume ? existing(observed, given.dataVolume, given) : missing(observed, given);
		actions.push(...disk.actions);
		events.push(...disk.events);
		ready &&= disk.ready;
		if (disk.failure !== undefined) return {actions, events, failure: disk.failure, ready: false};
	}
	return {actions, events, ready};
}

function makeInstance(vm: VirtualMachine): VirtualMachineInstance {
	const {namespace = '', name} = vm.metadata;
	const {metadata, spec} = vm.spec.template;
	return {
		apiVersion: kubevirtVersion,
		kind: 'VirtualMachineInstance',
		metadata: {
			name,
			namespace,
			...(metadata?.labels && {labels: metadata.labels}),
			finalizers: [names.instanceFinalizer],
			ownerReferences: [controlledBy(vm)],
		},
		spec,
	};
}

export const isFinal = ({status}: VirtualMachineInstance) =>
	status?.phase === 'Failed' || status?.phase === 'Succeeded';

/** An instance that was ever up has this condition. */
const hasRun = ({status}: VirtualMachineInstance) => status?.conditions?.some(({type}) => type === 'Ready') ?? false;

const startPauseMs = 10_000;
const longestPauseMs = 300_000;

/** Counts an instance that never came up, once; forgotten when one is up. */
function startFailureOf({vm, instance, nowMs, pace, jitter}: ObservedVm): StartFailure | undefined {
	const before = vm.status?.startFailure;
	if (!instance) return before;
	if (instance.status?.phase === 'Running') return undefined;
	const uid = instance.metadata.uid ?? '';
	if (instance.status?.phase !== 'Failed' || hasRun(instance) || before?.lastFailedUid === uid) return before;
	const consecutiveFailCount = (before?.consecutiveFailCount ?? 0) + 1;
	const pauseMs = Math.min(startPauseMs * consecutiveFailCount ** 2 * (1 + jitter / 2), longestPauseMs) * pace;
	return {consecutiveFailCount, lastFailedUid: uid, retryAfter: new Date(nowMs + pauseMs).toISOString()};
}

/** Requests that are carried out are dropped. */
function openRequests({vm, instance}: ObservedVm): readonly StateChangeRequest[] {
	const [first, ...rest] = vm.status?.stateChangeRequests ?? [];
	if (!first) return [];
	const done = first.action === 'Stop' ? instance?.metadata.uid !== first.uid : instance !== undefined;
	return done ? rest : [first, ...rest];
}

type Running = Pick<VmPlan, 'actions' | 'recheckAfterMs'>;

function instanceAction(observed: ObservedVm, requests: readonly StateChangeRequest[], failed?: StartFailure): Running {
	const {vm, instance, nowMs} = observed;
	const none: Running = {actions: []};
	if (instance?.metadata.deletionTimestamp) return none;
	const [request] = requests;
	const isToGo = request?.action === 'Stop' || isFinalAndNotManual(vm, instance) || vm.spec.runStrategy === 'Halted';
	if (instance) return isToGo ? {actions: [{do: 'deleteInstance', instance}]} : none;
	if (request?.action !== 'Start' && !wantsToRun(vm, instance)) return none;
	const waitMs = failed ? Date.parse(failed.retryAfter) - nowMs : 0;
	if (waitMs > 0) return {actions: [], recheckAfterMs: waitMs};
	return {actions: [{do: 'createInstance', instance: makeInstance(vm)}]};
}

/** One that ended is made anew for a VM that is always to run. */
function isFinalAndNotManual({spec}: VirtualMachine, instance: VirtualMachineInstance | undefined): boolean {
	return instance !== undefined && isFinal(instance) && spec.runStrategy === 'Always';
}

export function decideVm(observed: ObservedVm): VmPlan {
	const {vm, instance} = observed;
	const asked = vm.status?.stateChangeRequests ?? [];
	const startFailure = startFailureOf(observed);
	const idle: VmPlan = {actions: [], events: [], requests: asked, startFailure};
	if (vm.metadata.deletionTimestamp || observed.expecting) return idle;
	const makesDisks = vm.metadata.annotations?.[names.immediateCreation] !== 'false' || wantsToRun(vm, instance);
	const disks: Disks = makesDisks ? disksOf(observed) : {actions: [], events: [], ready: false};
	const common: VmPlan = {...idle, ...disks};
	// Also where a disk was ready before: stop and restart are frozen then.
	const isHeldUp = disks.failure !== undefined || (!disks.ready && vm.spec.runStrategy !== 'Halted');
	if (isHeldUp) return common;
	const requests = openRequests(observed);
	const {actions, ...rest} = instanceAction(observed, requests, startFailure);
	return {...common, ...rest, requests, actions: [...disks.actions, ...actions]};
}
