/** The VMI controller's loop: looks, asks `decideInstance`, does it, and writes the instance's status. */
import type {PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import {Controller, type Round, watch} from '../../src/kube/controller.ts';
import {isAlreadyExists} from '../../src/kube/errors.ts';
import {keyOf, makeKey, parseKey} from '../../src/kube/object-key.ts';
import * as resources from '../../src/kube/resources.ts';
import type {Index} from '../../src/kube/store.ts';
import {
	cdiConfigs,
	cdis,
	claimNameOf,
	controllerOf,
	dataVolumes,
	names,
	type VirtualMachineInstance,
	virtualMachineInstances,
} from './api.ts';
import {type Double, findClaim, findDataVolume, isSame, noting, retryBackoff, Written} from './double.ts';
import {makeLauncherPod} from './launcher-pod.ts';
import {overheadOf} from './presence.ts';
import {readinessOf} from './readiness.ts';
import {decideInstance, type InstanceAction, type ObservedInstance, type ObservedVolume} from './vmi-decide.ts';

const byInstance: Index<Pod> = {
	name: 'instance',
	keys: (pod) => {
		const owner = controllerOf(pod);
		return owner?.kind === 'VirtualMachineInstance' ? [owner.uid] : [];
	},
};

/** Of what happens to a claim after it was added, only this wakes the VMI controller: not that it is bound. */
function sizesDiffer(one: PersistentVolumeClaim, other: PersistentVolumeClaim): boolean {
	return (
		!isSame(one.status?.capacity, other.status?.capacity) ||
		!isSame(one.spec.resources?.requests, other.spec.resources?.requests)
	);
}

export class VmiController {
	readonly #double: Double;
	readonly #written = new Written();
	readonly controller: Controller;

	constructor(double: Double) {
		this.#double = double;
		const {caches, log, clock} = double;
		caches.addIndex(resources.pods, byInstance);
		this.controller = new Controller({
			name: 'virtualmachineinstance',
			caches,
			log,
			clock,
			backoff: retryBackoff,
			reconcile: (key, round) => this.#sync(key, round),
			watches: [
				watch(virtualMachineInstances, (instance) => [keyOf(instance)]),
				watch(dataVolumes, (dataVolume) => this.#naming(dataVolume.metadata)),
				watch(resources.persistentVolumeClaims, (claim, change) => {
					const wakes = change.type === 'add' || (change.type === 'update' && sizesDiffer(change.old, change.object));
					return wakes ? this.#naming(claim.metadata) : [];
				}),
				watch(resources.pods, (pod) => {
					const owner = controllerOf(pod);
					return owner?.kind === 'VirtualMachineInstance' ? [makeKey(pod.metadata.namespace, owner.name)] : [];
				}),
			],
		});
	}

	/** Instances with a volume of this name. */
	#naming({namespace, name}: {readonly namespace?: string; readonly name: string}): string[] {
		return this.#double.caches
			.store(virtualMachineInstances)
			.list(namespace ?? '')
			.filter(({spec}) => spec.volumes?.some((volume) => claimNameOf(volume) === name))
			.map(keyOf);
	}

	async #sync(key: string, round: Round): Promise<'done'> {
		const {namespace, name} = parseKey(key);
		const instance = this.#double.caches.store(virtualMachineInstances).get(namespace, name);
		if (!instance || this.#written.isNewerThan(instance)) return 'done';
		return noting(this.#double, instance, () => this.#syncOne(instance, round));
	}

	async #syncOne(instance: VirtualMachineInstance, round: Round): Promise<'done'> {
		const observed = this.#observe(instance);
		const {actions, status, failure} = decideInstance(observed);
		for (const action of actions) {
			this.#double.note(instance, action.do === 'createPod' && action.temporary ? 'createPod temporary' : action.do);
			await this.#execute(action, observed, round);
		}
		if (!isSame(instance.status ?? {}, status)) {
			if (status.phase !== instance.status?.phase) this.#double.note(instance, `is ${status.phase}`);
			const {resourceVersion, uid} = instance.metadata;
			const options = {resourceVersion, uid, signal: round.signal};
			const {api} = this.#double;
			this.#written.note(await api.mergePatchStatus(virtualMachineInstances, instance.metadata, {status}, options));
		}
		if (failure !== undefined) throw new Error(failure);
		return 'done';
	}

	#observe(instance: VirtualMachineInstance): ObservedInstance {
		const {caches, clock} = this.#double;
		const {namespace, uid = ''} = instance.metadata;
		const dataVolumeOf = findDataVolume(this.#double, namespace);
		const volumes = (instance.spec.volumes ?? []).flatMap((volume): ObservedVolume[] => {
			const claimName = claimNameOf(volume);
			if (claimName === undefined) return [];
			const claim = findClaim(this.#double, namespace)(claimName);
			return [
				{
					name: volume.name,
					claimName,
					claim,
					dataVolume: volume.dataVolume && dataVolumeOf(volume.dataVolume.name),
					isDataVolume: volume.dataVolume !== undefined,
					readiness: readinessOf(claim, dataVolumeOf),
				},
			];
		});
		const config = caches.store(cdiConfigs).get(undefined, 'config');
		const cdiCount = caches.store(cdis).size;
		return {
			instance,
			volumes,
			pods: caches.store(resources.pods).byIndex(byInstance.name, uid),
			overhead: (storageClass) => overheadOf(storageClass, {cdiCount, config}),
			now: new Date(clock.now()).toISOString(),
		};
	}

	async #execute(action: InstanceAction, {instance, volumes}: ObservedInstance, {signal}: Round): Promise<void> {
		const {api, launcherImage} = this.#double;
		switch (action.do) {
			case 'createPod': {
				const disks = volumes.map(({name, claimName, claim}) => ({
					name,
					claimName,
					isBlock: claim?.spec.volumeMode === 'Block',
				}));
				const pod = makeLauncherPod(instance, disks, {image: launcherImage, temporary: action.temporary});
				await api.create(resources.pods, pod, {signal}).catch((error: unknown) => {
					if (!isAlreadyExists(error)) throw error;
				});
				return;
			}
			case 'deletePod': {
				const {gracePeriodSeconds, pod} = action;
				await api.delete(resources.pods, pod.metadata, {uid: pod.metadata.uid, gracePeriodSeconds, signal});
				return;
			}
			case 'removeFinalizer': {
				const {resourceVersion, uid} = instance.metadata;
				const finalizers = instance.metadata.finalizers?.filter((one) => one !== names.instanceFinalizer) ?? [];
				const patch = {metadata: {finalizers}};
				await api.mergePatch(virtualMachineInstances, instance.metadata, patch, {resourceVersion, uid, signal});
				return;
			}
			default:
				action satisfies never;
		}
	}
}
