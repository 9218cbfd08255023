/** Pods that look into claims, or write to them, as a virtual machine would. */
import {randomUUID} from 'node:crypto';
import type {PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import {persistentVolumeClaims, pods} from '../../src/kube/resources.ts';
import {GiveUp, until} from '../cluster/until.ts';

/** Where a test Pod finds the disk of a claim. */
const diskPath = {Filesystem: '/data/disk.img', Block: '/dev/disk'} as const;

export interface DiskPod {
	readonly namespace: string;
	readonly claim: string;
	readonly image: string;
	/** Run by sh. `$DISK` is the disk. */
	readonly script: string;
	readonly readOnly?: boolean;
	readonly name?: string;
	/** Name of the node that it has to run on; the scheduler still decides. */
	readonly node?: string;
}

/** For a Pod's spec: the scheduler has to choose this node. */
export const onlyOn = (node: string) => ({nodeSelector: {'kubernetes.io/hostname': node}});

function makeDiskPod(
	{namespace, claim, image, script, readOnly = false, name, node}: DiskPod,
	volumeMode: 'Filesystem' | 'Block',
): Pod {
	const block = volumeMode === 'Block';
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {name: name ?? `disk-${randomUUID().slice(0, 8)}`, namespace},
		spec: {
			restartPolicy: 'Never',
			...(node !== undefined && onlyOn(node)),
			automountServiceAccountToken: false,
			terminationGracePeriodSeconds: 0,
			securityContext: {
				runAsNonRoot: true,
				runAsUser: 107,
				runAsGroup: 107,
				fsGroup: 107,
				seccompProfile: {type: 'RuntimeDefault'},
			},
			containers: [
				{
					name: 'disk',
					image,
					imagePullPolicy: 'IfNotPresent',
					command: ['sh', '-ec', script],
					env: [{name: 'DISK', value: diskPath[volumeMode]}],
					terminationMessagePolicy: 'FallbackToLogsOnError',
					securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: ['ALL']}},
					...(block
						? {volumeDevices: [{name: 'disk', devicePath: diskPath.Block}]}
						: {volumeMounts: [{name: 'disk', mountPath: '/data', readOnly}]}),
				},
			],
			volumes: [{name: 'disk', persistentVolumeClaim: {claimName: claim}}],
		},
	};
}

async function volumeModeOf(api: KubeApi, {namespace, claim}: DiskPod): Promise<'Filesystem' | 'Block'> {
	const object: PersistentVolumeClaim = await api.get(persistentVolumeClaims, {namespace, name: claim});
	return object.spec.volumeMode ?? 'Filesystem';
}

/** Starts the Pod and leaves it: a consumer that goes on using the claim. */
export async function startDiskPod(api: KubeApi, wanted: DiskPod): Promise<Pod> {
	return api.create(pods, makeDiskPod(wanted, await volumeModeOf(api, wanted)));
}

export async function waitForPod(
	api: KubeApi,
	pod: Pod,
	phase: 'Running' | 'Succeeded',
	timeoutMs = 240_000,
): Promise<Pod> {
	return until(
		`Pod ${pod.metadata.namespace}/${pod.metadata.name} ${phase}`,
		async () => {
			const now = await api.get(pods, pod.metadata);
			const ended = now.status?.containerStatuses?.[0]?.state?.terminated;
			if (now.status?.phase === 'Failed')
				throw new GiveUp(`Pod ${pod.metadata.name} failed: ${ended?.message ?? now.status.message}`);
			return now.status?.phase === phase ? now : undefined;
		},
		{timeoutMs, intervalMs: 250},
	);
}

export async function removePod(api: KubeApi, pod: Pod): Promise<void> {
	await api.delete(pods, pod.metadata, {gracePeriodSeconds: 0});
	await until(`Pod ${pod.metadata.name} gone`, async () => ((await api.find(pods, pod.metadata)) ? undefined : true));
}

/** Runs the script to its end, and returns what it wrote to /dev/termination-log (at most 4 KiB). */
export async function onDisk(api: KubeApi, wanted: DiskPod): Promise<string> {
	const pod = await startDiskPod(api, wanted);
	try {
		const ended = await waitForPod(api, pod, 'Succeeded');
		return ended.status?.containerStatuses?.[0]?.state?.terminated?.message?.trim() ?? '';
	} finally {
		await removePod(api, pod);
	}
}

/**
 * Only data is read; holes are hashed from memory. Most of a disk is holes, and reading them would fill the page cache of
 * the node with nothing.
 */
const digestProgram = `
const {execFileSync} = require('node:child_process');
const {createHash} = require('node:crypto');
const {openSync, readSync, writeFileSync} = require('node:fs');
const path = process.env.DISK;
const map = execFileSync('qemu-img', ['map', '--output=json', '-f', 'raw', path], {maxBuffer: 64 << 20});
const disk = openSync(path, 'r');
const piece = Buffer.alloc(4 << 20);
const zeros = Buffer.alloc(4 << 20);
const hash = createHash('sha256');
const end = Number(process.env.BYTES || Infinity);
for (const {start, length, zero} of JSON.parse(map)) {
	const stop = Math.min(start + length, end);
	for (let at = start; at < stop; ) {
		const want = Math.min(piece.length, stop - at);
		const got = zero ? want : readSync(disk, piece, 0, want, at);
		if (got === 0) throw new Error('the disk ends at ' + at);
		hash.update((zero ? zeros : piece).subarray(0, got));
		at += got;
	}
}
writeFileSync('/dev/termination-log', hash.digest('hex'));
`;

/** SHA-256 of the disk, or of its first so many bytes: a claim may be larger than the image in it. */
export async function digestOf(api: KubeApi, where: Omit<DiskPod, 'script'>, bytes?: bigint): Promise<string> {
	const script = `export BYTES=${bytes ?? ''}\nnode - <<'PROGRAM'${digestProgram}PROGRAM\n`;
	return onDisk(api, {readOnly: true, ...where, script});
}
