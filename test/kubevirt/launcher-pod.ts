/**
 * The Pods of an instance, real ones: they mount every disk as virt-launcher does, and run as qemu's user. What KubeVirt
 * would do silently, make an empty disk where none is, fails here.
 */
import type {Container, Pod} from '../../src/api/kubernetes.ts';
import {controlledBy, names, type VirtualMachineInstance} from './api.ts';

export interface Disk {
	/** Of the volume. */
	readonly name: string;
	readonly claimName: string;
	readonly isBlock: boolean;
}

/** With a shell and coreutils. */
export interface LauncherImage {
	readonly image: string;
}

/** uid and gid of qemu in KubeVirt's images. */
const qemu = 107;

const pathOf = ({name, isBlock}: Disk) => (isBlock ? `/dev/disks/${name}` : `/disks/${name}/disk.img`);

/** Writing nothing at the end of it needs the right to write, and changes nothing. */
const probeOf = (disks: readonly Disk[]) =>
	disks
		.map((disk) => {
			const path = pathOf(disk);
			const kind = disk.isBlock ? '-b' : '-s';
			return `{ test ${kind} '${path}' && : >> '${path}'; } || { echo "no disk at ${path}" > /dev/termination-log; exit 1; }`;
		})
		.join('\n');

/** Ends at once when it is asked to, as a machine that shuts down. */
const stay = "trap 'exit 0' TERM\nsleep infinity &\nwait";

const podName = ({metadata}: VirtualMachineInstance, temporary: boolean) =>
	`${temporary ? 'virt-launcher-temp' : 'virt-launcher'}-${metadata.name}-${metadata.uid?.slice(0, 8)}`;

export function makeLauncherPod(
	instance: VirtualMachineInstance,
	disks: readonly Disk[],
	{image, temporary}: LauncherImage & {readonly temporary: boolean},
): Pod {
	const {namespace = ''} = instance.metadata;
	const container: Container = {
		name: 'compute',
		image,
		imagePullPolicy: 'IfNotPresent',
		// The temporary one is there to be scheduled: it does not look at its disks, they may be empty.
		command: ['sh', '-c', temporary ? 'echo bound' : `${probeOf(disks)}\n${stay}`],
		terminationMessagePolicy: 'FallbackToLogsOnError',
		securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: ['ALL']}},
		volumeMounts: disks.filter(({isBlock}) => !isBlock).map(({name}) => ({name, mountPath: `/disks/${name}`})),
		volumeDevices: disks.filter(({isBlock}) => isBlock).map((disk) => ({name: disk.name, devicePath: pathOf(disk)})),
	};
	const probe = {exec: {command: ['sh', '-c', probeOf(disks)]}, periodSeconds: 1};
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name: podName(instance, temporary),
			namespace,
			labels: {[names.launcherLabel]: names.launcherValue},
			...(temporary && {annotations: {[names.ephemeralProvisioning]: 'true'}}),
			ownerReferences: [controlledBy(instance)],
		},
		spec: {
			restartPolicy: 'Never',
			automountServiceAccountToken: false,
			enableServiceLinks: false,
			terminationGracePeriodSeconds: temporary ? 0 : 5,
			securityContext: {
				runAsNonRoot: true,
				runAsUser: qemu,
				runAsGroup: qemu,
				fsGroup: qemu,
				seccompProfile: {type: 'RuntimeDefault'},
			},
			containers: [temporary ? container : Object.assign(container, {readinessProbe: probe})],
			volumes: disks.map(({name, claimName}) => ({name, persistentVolumeClaim: {claimName}})),
		},
	};
}
