/** The VM controller's loop: looks, asks `decideVm`, does it, and writes the VM's status. */
import {type Condition, upsertCondition} from '../../src/api/conditions.ts';
import type {DataVolumeSource} from '../../src/api/datavolume.ts';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {Controller, type Round, watch} from '../../src/kube/controller.ts';
import {isAlreadyExists} from '../../src/kube/errors.ts';
import {keyOf, makeKey, parseKey} from '../../src/kube/object-key.ts';
import * as resources from '../../src/kube/resources.ts';
import {
	claimNameOf,
	controllerOf,
	dataSources,
	dataVolumes,
	isControlledBy,
	type VirtualMachine,
	type VirtualMachineStatus,
	virtualMachineInstances,
	virtualMachines,
} from './api.ts';
import {type AccessReview, reviewOf} from './authorization.ts';
import {resolve, sourceRefOf} from './data-volume.ts';
import {type Double, findClaim, findDataVolume, isSame, noting, retryBackoff, wordsOf, Written} from './double.ts';
import {Expectations} from './expectations.ts';
import {printableStatus} from './printable-status.ts';
import {decideVm, isFinal, type ObservedTemplate, type ObservedVm, type VmAction, type VmPlan} from './vm-decide.ts';

const expectationTimeoutMs = 300_000;

/** Undefined where it is allowed. */
async function refusal(
	{api}: Double,
	{user, groups, anyOf, tolerated}: AccessReview,
	{signal}: Round,
): Promise<string | undefined> {
	if (anyOf.length === 0 || tolerated) return undefined;
	const isAllowed = async (resourceAttributes: object) => {
		const review = {
			apiVersion: 'authorization.k8s.io/v1',
			kind: 'SubjectAccessReview',
			spec: {user, groups, resourceAttributes},
		};
		const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
		const {status} = await api.post<{status: {allowed: boolean}}>(path, review, {signal});
		return status.allowed;
	};
	for (const list of anyOf) {
		const answers = await Promise.all(list.map(isAllowed));
		if (answers.every(Boolean)) return undefined;
	}
	return `${user} has insufficient permissions in clone source namespace ${anyOf[0]?.[0]?.namespace}`;
}

export class VmController {
	readonly #double: Double;
	readonly #expectations: Expectations;
	readonly #written = new Written();
	readonly controller: Controller;

	constructor(double: Double) {
		this.#double = double;
		this.#expectations = new Expectations(double.clock, expectationTimeoutMs * double.pace);
		const {caches, log, clock} = double;
		this.controller = new Controller({
			name: 'virtualmachine',
			caches,
			log,
			clock,
			backoff: retryBackoff,
			reconcile: (key, round) => this.#sync(key, round),
			watches: [
				watch(virtualMachines, (vm) => [keyOf(vm)]),
				watch(virtualMachineInstances, (instance) => this.#ownerOf(instance)),
				watch(dataVolumes, (dataVolume, change) => {
					const owners = this.#ownerOf(dataVolume);
					if (change.type === 'add') {
						for (const owner of owners) this.#expectations.settle(owner, dataVolume.metadata.name);
					}
					return [...owners, ...this.#naming(dataVolume)];
				}),
				// Nothing that happens to a claim later wakes the VM controller, not even that it is bound.
				watch(resources.persistentVolumeClaims, (claim, {type}) => (type === 'add' ? this.#naming(claim) : [])),
			],
		});
	}

	#ownerOf(object: KubeObject): string[] {
		const owner = controllerOf(object);
		return owner?.kind === 'VirtualMachine' ? [makeKey(object.metadata.namespace, owner.name)] : [];
	}

	/** VMs with a volume, or a template, of this object's name. */
	#naming({metadata: {namespace, name}}: KubeObject): string[] {
		return this.#double.caches
			.store(virtualMachines)
			.list(namespace ?? '')
			.filter(
				({spec}) =>
					spec.template.spec.volumes?.some((volume) => claimNameOf(volume) === name) ||
					spec.dataVolumeTemplates?.some(({metadata}) => metadata.name === name),
			)
			.map(keyOf);
	}

	async #sync(key: string, round: Round): Promise<'done' | {recheckAfterMs: number}> {
		const {namespace, name} = parseKey(key);
		const vm = this.#double.caches.store(virtualMachines).get(namespace, name);
		if (!vm || this.#written.isNewerThan(vm)) return 'done';
		return noting(this.#double, vm, () => this.#syncOne(vm, key, round));
	}

	async #syncOne(vm: VirtualMachine, key: string, round: Round): Promise<'done' | {recheckAfterMs: number}> {
		const observed = await this.#observe(vm, key, round);
		const plan = decideVm(observed);
		for (const event of plan.events) this.#double.events.record(vm, event);
		let failure = plan.failure;
		for (const action of plan.actions) {
			this.#double.note(vm, action.do);
			failure ??= await this.#execute(action, vm, {key, round});
		}
		await this.#report(observed, plan, {failure, round});
		if (failure !== undefined) throw new Error(failure);
		return plan.recheckAfterMs === undefined ? 'done' : {recheckAfterMs: plan.recheckAfterMs};
	}

	async #observe(vm: VirtualMachine, key: string, round: Round): Promise<ObservedVm> {
		const double = this.#double;
		const {namespace = '', name} = vm.metadata;
		const instance = double.caches.store(virtualMachineInstances).get(namespace, name);
		const expecting = this.#expectations.isWaiting(key);
		const templates: ObservedTemplate[] = [];
		for (const template of vm.spec.dataVolumeTemplates ?? []) {
			const dataVolume = findDataVolume(double, namespace)(template.metadata.name);
			const claim = findClaim(double, namespace)(template.metadata.name);
			const given = {template, dataVolume, claim};
			templates.push(dataVolume || expecting ? given : {...given, ...(await this.#lookUp(vm, template, round))});
		}
		return {
			vm,
			instance: instance && isControlledBy(instance, vm) ? instance : undefined,
			templates,
			findDataVolume: findDataVolume(double, namespace),
			expecting,
			nowMs: double.clock.now(),
			pace: double.pace,
			jitter: Math.random(),
		};
	}

	/** What is asked live before a DataVolume is made. */
	async #lookUp(
		vm: VirtualMachine,
		template: ObservedTemplate['template'],
		round: Round,
	): Promise<Pick<ObservedTemplate, 'resolved' | 'denied' | 'missingSource'>> {
		const {namespace = ''} = vm.metadata;
		const at = sourceRefOf(template, namespace);
		const resolved = at && resolve(at, await this.#double.api.find(dataSources, at, round));
		if (resolved && 'error' in resolved) return {resolved};
		const given: DataVolumeSource | undefined = resolved?.source ?? template.spec.source;
		const source = given?.pvc && !given.pvc.namespace ? {pvc: {...given.pvc, namespace}} : given;
		const review = reviewOf(vm.spec.template.spec, namespace, {template, source});
		const denied = await refusal(this.#double, review, round);
		const from = source?.pvc;
		const isMissing = from && !findClaim(this.#double, from.namespace)(from.name);
		return {resolved, denied, ...(isMissing && {missingSource: `${from.namespace}/${from.name}`})};
	}

	/** Returns what went wrong, where that is for the VM's status. */
	async #execute(
		action: VmAction,
		vm: VirtualMachine,
		{key, round: {signal}}: {readonly key: string; readonly round: Round},
	): Promise<string | undefined> {
		const {api} = this.#double;
		switch (action.do) {
			case 'createDataVolume':
				return this.#create(action, vm, key, signal);
			case 'adopt': {
				const {metadata} = action.patch;
				await api.mergePatch(dataVolumes, action.dataVolume.metadata, {metadata: {...metadata}}, {signal});
				return undefined;
			}
			case 'createInstance':
				await api.create(virtualMachineInstances, action.instance, {signal}).catch((error: unknown) => {
					if (!isAlreadyExists(error)) throw error;
				});
				return undefined;
			case 'deleteInstance': {
				const {uid} = action.instance.metadata;
				await api.delete(virtualMachineInstances, action.instance.metadata, {uid, signal});
				return undefined;
			}
			default:
				return action satisfies never;
		}
	}

	async #create(
		{dataVolume, claimExists}: Extract<VmAction, {do: 'createDataVolume'}>,
		vm: VirtualMachine,
		key: string,
		signal: AbortSignal,
	): Promise<string | undefined> {
		const {api, events} = this.#double;
		const {name} = dataVolume.metadata;
		this.#expectations.expect(key, name);
		try {
			await api.create(dataVolumes, dataVolume, {signal});
			const message = `Created DataVolume ${name}`;
			events.record(vm, {type: 'Normal', reason: 'SuccessfulDataVolumeCreate', message});
			this.controller.enqueueAfter(key, this.#expectations.timeoutMs);
			return undefined;
		} catch (error) {
			this.#expectations.settle(key, name);
			const words = wordsOf(error);
			// Denied for a claim of that name: held as not ready, and nothing comes back to it.
			if (claimExists && words.includes('already exists')) return undefined;
			const message = `Error creating DataVolume ${name}: ${words}`;
			events.record(vm, {type: 'Warning', reason: 'FailedDataVolumeCreate', message});
			return message;
		}
	}

	async #report(
		observed: ObservedVm,
		plan: VmPlan,
		{failure, round}: {readonly failure: string | undefined; readonly round: Round},
	): Promise<void> {
		const {vm, instance} = observed;
		const double = this.#double;
		const {namespace} = vm.metadata;
		const volumes = vm.spec.template.spec.volumes ?? [];
		const there = <T>(values: readonly (T | undefined)[]) => values.filter((value) => value !== undefined);
		const status: VirtualMachineStatus = {
			printableStatus: printableStatus({
				vm: {...vm, status: {...vm.status, ...(plan.startFailure && {startFailure: plan.startFailure})}},
				instance,
				dataVolumes: there(
					volumes.map(({dataVolume}) => dataVolume && findDataVolume(double, namespace)(dataVolume.name)),
				),
				claims: there(
					volumes.map((volume) => {
						const name = claimNameOf(volume);
						return name === undefined ? undefined : findClaim(double, namespace)(name);
					}),
				),
			}),
			created: instance !== undefined && !isFinal(instance),
			ready: instance?.status?.phase === 'Running',
			conditions: failureCondition(vm, failure, new Date(observed.nowMs).toISOString()),
			...(plan.requests.length > 0 && {stateChangeRequests: plan.requests}),
			...(plan.startFailure && {startFailure: plan.startFailure}),
		};
		if (isSame(normal(vm.status), normal(status))) return;
		if (status.printableStatus !== vm.status?.printableStatus) double.note(vm, `is ${status.printableStatus}`);
		const {resourceVersion, uid} = vm.metadata;
		const gone = {stateChangeRequests: null, startFailure: null};
		const patch = {status: {...gone, ...status}};
		const {signal} = round;
		const options = {resourceVersion, uid, signal};
		this.#written.note(await double.api.mergePatchStatus(virtualMachines, vm.metadata, patch, options));
	}
}

function failureCondition({status}: VirtualMachine, failure: string | undefined, now: string): readonly Condition[] {
	const others = (status?.conditions ?? []).filter(({type}) => type !== 'Failure');
	if (failure === undefined) return others;
	const news = {type: 'Failure', status: 'True', reason: 'FailedCreate', message: failure} as const;
	return upsertCondition(status?.conditions ?? [], news, now);
}

/** The same fields in the same order. */
function normal(status: VirtualMachineStatus | undefined): unknown[] {
	const {printableStatus, created, ready, conditions, stateChangeRequests, startFailure} = status ?? {};
	return [printableStatus, created, ready, conditions ?? [], stateChangeRequests ?? [], startFailure ?? {}];
}
