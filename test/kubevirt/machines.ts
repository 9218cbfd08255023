/** VirtualMachines as tests make and use them: what a person would do with kubectl and virtctl. */
import type {KubeObject} from '../../src/api/kubernetes.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import type {Resource} from '../../src/kube/resources.ts';
import {GiveUp, until} from '../cluster/until.ts';
import {
	type DataVolumeTemplate,
	kubevirtVersion,
	type PrintableStatus,
	type RunStrategy,
	type VirtualMachine,
	type VirtualMachineInstance,
	virtualMachineInstances,
	virtualMachines,
} from './api.ts';
import type {VirtController} from './virt-controller.ts';

export interface MachineWanted {
	readonly namespace: string;
	readonly name: string;
	/** Each is a disk of the machine. */
	readonly templates?: readonly DataVolumeTemplate[];
	/** Claims as disks. */
	readonly claims?: readonly string[];
	/** DataVolumes that are made otherwise, as disks. */
	readonly dataVolumes?: readonly string[];
	/** Default Always. */
	readonly runStrategy?: RunStrategy;
	readonly annotations?: Readonly<Record<string, string>>;
}

function makeMachine(wanted: MachineWanted): VirtualMachine {
	const {namespace, name, templates = [], claims = [], dataVolumes = [], runStrategy = 'Always', annotations} = wanted;
	return {
		apiVersion: kubevirtVersion,
		kind: 'VirtualMachine',
		metadata: {namespace, name, ...(annotations && {annotations})},
		spec: {
			runStrategy,
			...(templates.length > 0 && {dataVolumeTemplates: templates}),
			template: {
				metadata: {labels: {'kubevirt.io/vm': name}},
				spec: {
					domain: {devices: {}},
					volumes: [
						...[...templates.map(({metadata}) => metadata.name), ...dataVolumes].map((disk) => ({
							name: disk,
							dataVolume: {name: disk},
						})),
						...claims.map((claimName) => ({name: claimName, persistentVolumeClaim: {claimName}})),
					],
				},
			},
		},
	};
}

type Named = Pick<KubeObject, 'metadata'>;

/** Machines on one API server, with the double that drives them. */
export class Machines {
	readonly #api: KubeApi;
	readonly #double: VirtController;

	/** @param api as a person with all rights. */
	constructor(api: KubeApi, double: VirtController) {
		this.#api = api;
		this.#double = double;
	}

	create(wanted: MachineWanted): Promise<VirtualMachine> {
		return this.#api.create(virtualMachines, makeMachine(wanted));
	}

	get({metadata}: Named): Promise<VirtualMachine> {
		return this.#api.get(virtualMachines, metadata);
	}

	instanceOf({metadata}: Named): Promise<VirtualMachineInstance | undefined> {
		return this.#api.find(virtualMachineInstances, metadata);
	}

	/** With what the double did, where it takes too long. */
	async until(
		vm: Named,
		what: string,
		isSo: (vm: VirtualMachine) => boolean | Promise<boolean>,
		timeoutMs = 180_000,
	): Promise<VirtualMachine> {
		let last: VirtualMachine | undefined;
		try {
			return await until(
				`VM ${vm.metadata.namespace}/${vm.metadata.name} ${what}`,
				async () => {
					this.#assertAlive();
					last = await this.get(vm);
					return (await isSo(last)) ? last : undefined;
				},
				{timeoutMs, intervalMs: 200},
			);
		} catch (error) {
			const notes = this.#double.notes(`${vm.metadata.namespace}/${vm.metadata.name} `).join('\n');
			const words = error instanceof Error ? error.message : String(error);
			throw new Error(`${words}; it is ${JSON.stringify(last?.status)}\n${notes}`, {cause: error});
		}
	}

	untilStatus(vm: Named, status: PrintableStatus, timeoutMs?: number): Promise<VirtualMachine> {
		return this.until(vm, status, ({status: now}) => now?.printableStatus === status, timeoutMs);
	}

	async start(vm: Named): Promise<void> {
		await this.#strategy(vm, 'Always');
	}

	async stop(vm: Named): Promise<void> {
		await this.#strategy(vm, 'Halted');
	}

	/** Returns when another instance runs. */
	async restart(vm: Named): Promise<void> {
		const before = (await this.instanceOf(vm))?.metadata.uid ?? '';
		const stateChangeRequests = [{action: 'Stop', uid: before}, {action: 'Start'}] as const;
		await this.#api.mergePatchStatus(virtualMachines, vm.metadata, {status: {stateChangeRequests}});
		await this.until(vm, 'restarted', async ({status}) => {
			const now = await this.instanceOf(vm);
			return status?.printableStatus === 'Running' && now !== undefined && now.metadata.uid !== before;
		});
	}

	async remove(vm: Named): Promise<void> {
		await this.#api.delete(virtualMachines, vm.metadata);
		await until(
			`VM ${vm.metadata.name} gone`,
			async () => {
				this.#assertAlive();
				const left = [await this.#api.find(virtualMachines, vm.metadata), await this.instanceOf(vm)];
				return left.some(Boolean) ? undefined : true;
			},
			{timeoutMs: 120_000, intervalMs: 200},
		);
	}

	/** All machines of these namespaces, as many as there are. */
	async removeAll(namespaces: readonly string[]): Promise<void> {
		const listIn = async (kind: Resource<KubeObject>) => {
			const lists = await Promise.all(namespaces.map((namespace) => this.#api.list(kind, {namespace})));
			return lists.flatMap(({items}) => items);
		};
		await Promise.all((await listIn(virtualMachines)).map(({metadata}) => this.#api.delete(virtualMachines, metadata)));
		await until(
			`instances in ${namespaces.join(', ')} gone`,
			async () => {
				this.#assertAlive();
				return (await listIn(virtualMachineInstances)).length === 0 ? true : undefined;
			},
			{timeoutMs: 120_000, intervalMs: 500},
		);
	}

	async #strategy({metadata}: Named, runStrategy: RunStrategy): Promise<void> {
		await this.#api.mergePatch(virtualMachines, metadata, {spec: {runStrategy}});
	}

	#assertAlive(): void {
		try {
			this.#double.assertAlive();
		} catch (error) {
			throw new GiveUp(error instanceof Error ? error.message : String(error));
		}
	}
}
