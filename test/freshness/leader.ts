/** Whoever leads in the cluster, and what may happen to it. */
import type {Lease} from '../../src/api/lease.ts';
import type {Pod} from '../../src/api/kubernetes.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import {microTime} from '../../src/kube/leader-election.ts';
import * as resources from '../../src/kube/resources.ts';
import {listProcesses} from '../cluster/processes.ts';
import {until} from '../cluster/until.ts';

export const disturbances = ['leader Pod deleted', 'leader killed', 'leader frozen', 'Lease taken away'] as const;
export type Disturbance = (typeof disturbances)[number];

const namespace = 'onesnap';
const lease = {namespace, name: 'onesnap-controller'};
/** A silent leader is replaced after 15 s. */
const takeOverMs = 60_000;
/** The kubelet's back-off ends at five minutes, and takes some deaths to get there. */
const standbyMs = 360_000;

const readLease = (api: KubeApi): Promise<Lease> => api.get(resources.leases, lease);

/** The name of the process: that of its Pod, and something that no other has. */
async function leaderOf(api: KubeApi): Promise<string> {
	return until('somebody leads', async () => (await readLease(api)).spec?.holderIdentity || undefined, {
		timeoutMs: takeOverMs,
	});
}

function podOf(api: KubeApi, leader: string): Promise<Pod> {
	return api.get(resources.pods, {namespace, name: leader.split('_', 1)[0] ?? ''});
}

/** The controller in a Pod, as this machine sees it. */
async function processOf(pod: Pod): Promise<number> {
	const uid = pod.metadata.uid ?? '';
	// The systemd driver writes a UID's dashes as underscores.
	const marks = [`pod${uid}`, `pod${uid.replaceAll('-', '_')}`];
	const found = (await listProcesses()).find(
		({cgroups, argv}) =>
			marks.some((mark) => cgroups.includes(mark)) && argv.some((word) => word.endsWith('controller.js')),
	);
	if (!found) throw new Error(`no process of Pod ${pod.metadata.name} on this machine`);
	return found.pid;
}

/** As a stranger would: the holder finds out at its next renewal, and works on until then. */
async function takeLease(api: KubeApi): Promise<void> {
	const {spec} = await readLease(api);
	const now = microTime(Date.now());
	await api.mergePatch(resources.leases, lease, {
		spec: {
			holderIdentity: 'stranger',
			leaseDurationSeconds: 1,
			acquireTime: now,
			renewTime: now,
			leaseTransitions: (spec?.leaseTransitions ?? 0) + 1,
		},
	});
}

/** Another process than this one leads, and it is one of ours. */
async function untilSucceeded(api: KubeApi, leader: string): Promise<string> {
	return until(
		`another than ${leader} leads`,
		async () => {
			const now = await leaderOf(api);
			return now !== leader && now.includes('_') ? now : undefined;
		},
		{timeoutMs: takeOverMs, intervalMs: 250},
	);
}

/** Somebody is there who can take over; a container that ended often waits for its next start. */
async function untilStandby(api: KubeApi): Promise<void> {
	await until(
		'two controllers are ready',
		async () => {
			const {items} = await api.list(resources.pods, {
				namespace,
				labelSelector: 'app.kubernetes.io/name=onesnap-controller',
			});
			const ready = items.filter(
				({metadata, status}) => !metadata.deletionTimestamp && status?.containerStatuses?.every(({ready}) => ready),
			);
			return ready.length >= 2 ? true : undefined;
		},
		{timeoutMs: standbyMs, intervalMs: 500},
	);
}

/** It wakes up beside its successor, with what it believed when it fell asleep; unless the kubelet found it dead before. */
function wake(pid: number): void {
	try {
		process.kill(pid, 'SIGCONT');
	} catch (error) {
		if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
	}
}

/** Does it to the leader of this moment. Resolves with the next one's name when that leads. */
export async function disturb(api: KubeApi, what: Disturbance): Promise<string> {
	await untilStandby(api);
	const leader = await leaderOf(api);
	const pod = await podOf(api, leader);
	switch (what) {
		case 'leader Pod deleted':
			await api.delete(resources.pods, pod.metadata);
			return untilSucceeded(api, leader);
		case 'leader killed':
			process.kill(await processOf(pod), 'SIGKILL');
			return untilSucceeded(api, leader);
		case 'Lease taken away':
			await takeLease(api);
			return untilSucceeded(api, leader);
		case 'leader frozen': {
			const pid = await processOf(pod);
			process.kill(pid, 'SIGSTOP');
			try {
				return await untilSucceeded(api, leader);
			} finally {
				wake(pid);
			}
		}
		default:
			return what satisfies never;
	}
}
