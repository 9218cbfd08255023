/** The two-node cluster itself: what the tests of clones between nodes stand on. */
import {beforeAll, describe, expect, test} from 'vitest';
import type {PersistentVolumeClaim, Pod} from '../../src/api/kubernetes.ts';
import type {VolumeSnapshot} from '../../src/api/snapshot.ts';
import * as resources from '../../src/kube/resources.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {readJournal} from '../cluster/csi/journal.ts';
import {onDisk, onlyOn, removePod, startDiskPod, waitForPod} from '../support/disk-pod.ts';
import {auditLeaks} from '../support/leak-audit.ts';
import {api, claimOf, context, handleOf, kubectl, local, makeNamespace} from '../e2e/world.ts';
import {
	createClaim,
	createSnapshot,
	hold,
	node1,
	node2,
	nodeLocalClass,
	nodeLocalImmediateClass,
	nodesOf,
	provisioningFailureOf,
	waitForBound,
} from './two-nodes.ts';

let namespace: string;

beforeAll(async () => {
	namespace = await makeNamespace('topology');
});

/** Runs the script on the node, with the claim's disk, and returns what it wrote to /dev/termination-log. */
const on = (node: string, claim: PersistentVolumeClaim, script: string) =>
	onDisk(api, {namespace, claim: claim.metadata.name, image: context.workerImage, node, script});

const write = (words: string) => `printf '%s' '${words}' > "$DISK"; sync "$DISK"`;
const read = 'cat "$DISK" > /dev/termination-log';

test('both nodes are Ready, with every driver', async () => {
	const nodes = (await api.list(resources.nodes)).items;
	const ready = nodes.filter(({status}) =>
		status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
	);
	expect(ready.map(({metadata}) => metadata.name)).toEqual(expect.arrayContaining([node1, node2]));
	const drivers = Object.keys(local?.journals ?? {});
	expect(drivers.length).toBe(3);
	for (const name of [node1, node2]) {
		const {spec} = await api.get(resources.csiNodes, {name});
		expect(spec.drivers?.map((driver) => driver.name)).toEqual(expect.arrayContaining(drivers));
	}
});

describe('Pods on two nodes', () => {
	/** Answers on its address, and says so in its log. */
	const server = `node -e "require('http').createServer((_, answer) => answer.end('from ' + process.env.NODE)).listen(8080, () => console.log('listening'))"`;

	/** Prints the answer. The server may need a moment to listen, the API server's certificate is nobody's business here. */
	const ask = (url: string) => `NODE_TLS_REJECT_UNAUTHORIZED=0 node --no-warnings -e "
		const ask = (attemptsLeft) => fetch('${url}').then((answer) => answer.text()).then(
			(text) => process.stdout.write(text),
			(error) => { if (attemptsLeft === 0) throw error; setTimeout(ask, 250, attemptsLeft - 1); },
		);
		ask(40);"`;

	function makePod(node: string, name: string, script: string): Pod {
		return {
			apiVersion: 'v1',
			kind: 'Pod',
			metadata: {namespace, name},
			spec: {
				restartPolicy: 'Never',
				terminationGracePeriodSeconds: 0,
				...onlyOn(node),
				containers: [
					{
						name: 'main',
						image: context.workerImage,
						imagePullPolicy: 'IfNotPresent',
						command: ['sh', '-ec', script],
						env: [{name: 'NODE', value: node}],
						terminationMessagePolicy: 'FallbackToLogsOnError',
					},
				],
			},
		};
	}

	test.each([
		[node1, node2],
		[node2, node1],
	])('reach each other, the API server and its name: from %s to %s', async (from, to) => {
		const serving = await api.create(resources.pods, makePod(to, `server-${to}`, server));
		const {status} = await waitForPod(api, serving, 'Running');
		const address = status?.podIP ?? '';
		expect(address).not.toBe('');
		const asking = await api.create(
			resources.pods,
			makePod(
				from,
				`client-${from}`,
				`there=$(${ask(`http://${address}:8080`)})
				api=$(${ask('https://kubernetes.default.svc.cluster.local/healthz')})
				printf '%s, API %s' "$there" "$api" > /dev/termination-log`,
			),
		);
		const ended = await waitForPod(api, asking, 'Succeeded');
		const {message} = ended.status?.containerStatuses?.[0]?.state?.terminated ?? {};
		expect(message).toBe(`from ${to}, API ok`);
		expect(await kubectl('-n', namespace, 'logs', serving.metadata.name)).toContain('listening');
		expect(await kubectl('-n', namespace, 'exec', serving.metadata.name, '--', 'printenv', 'NODE')).toBe(`${to}\n`);
		for (const pod of [serving, asking]) await removePod(api, pod);
	});
});

test('a volume of the class that is everywhere is used on both nodes', async () => {
	const claim = await createClaim({namespace, name: 'everywhere', storageClass: context.storageClass ?? ''});
	const holder = await hold(claim, node1);
	await on(node1, claim, write('written on the first'));
	expect(await on(node2, claim, read)).toBe('written on the first');
	await removePod(api, holder);
	await on(node2, claim, write('written on the second'));
	expect(await on(node1, claim, read)).toBe('written on the second');
	expect(await nodesOf(claim)).toEqual([]);
});

describe('node-local storage', () => {
	let source: PersistentVolumeClaim;
	let snapshot: VolumeSnapshot;

	beforeAll(async () => {
		source = await createClaim({namespace, name: 'source', storageClass: nodeLocalClass});
		await on(node2, source, write('golden'));
		snapshot = await createSnapshot(source, 'snapshot');
	});

	test('a claim is made where its first consumer runs', async () => {
		expect((await claimOf(source)).metadata.annotations?.['volume.kubernetes.io/selected-node']).toBe(node2);
		expect(await nodesOf(source)).toEqual([node2]);
	});

	test('its snapshot restores on the same node', async () => {
		const restored = await createClaim({
			namespace,
			name: 'same-node',
			storageClass: nodeLocalClass,
			fromSnapshot: snapshot,
		});
		expect(await on(node2, restored, read)).toBe('golden');
		expect(await nodesOf(restored)).toEqual([node2]);
	});

	test('its snapshot is refused for a consumer on the other node', async () => {
		const restored = await createClaim({
			namespace,
			name: 'other-node',
			storageClass: nodeLocalClass,
			fromSnapshot: snapshot,
		});
		const consumer = {namespace, claim: restored.metadata.name, image: context.workerImage, node: node1, script: read};
		const pod = await startDiskPod(api, consumer);
		expect(await provisioningFailureOf(restored)).toMatch(
			/code = InvalidArgument desc = source node is not in the requirements/,
		);
		expect((await claimOf(restored)).status?.phase).toBe('Pending');
		const uid = restored.metadata.uid ?? '';
		const {provisioner} = await api.get(resources.storageClasses, {name: nodeLocalClass});
		const journal = await readJournal(local?.journals[provisioner] ?? '');
		const calls = journal.filter(({rpc, id}) => rpc === 'CreateVolume' && id?.includes(uid));
		expect(new Set(calls.map(({code}) => code))).toEqual(new Set(['INVALID_ARGUMENT']));
		await removePod(api, pod);
	});

	test('with immediate binding a restore goes to the node of its snapshot, and its Pod after it', async () => {
		const restored = await createClaim({
			namespace,
			name: 'immediate',
			storageClass: nodeLocalImmediateClass,
			fromSnapshot: snapshot,
		});
		await waitForBound(restored);
		expect(await nodesOf(restored)).toEqual([node2]);
		const script = `cat "$DISK" > /dev/termination-log`;
		expect(await onDisk(api, {namespace, claim: 'immediate', image: context.workerImage, script})).toBe('golden');
	});

	test('what the second node holds is in the audit of the host, and no leak while a Pod uses it', async () => {
		const cluster = await ensureLocalCluster(2);
		const claim = await createClaim({namespace, name: 'held', storageClass: nodeLocalClass});
		const holder = await hold(claim, node2);
		const handle = await handleOf(claim);
		const held = async () => {
			const {loopDevices, mounts} = await cluster.auditHost();
			return {
				loopDevices: loopDevices.filter(({backingFile}) => backingFile.endsWith(`/${node2}/volumes/${handle}`)).length,
				isMounted: mounts.some((point) => point.includes(`/${node2}/pods/${holder.metadata.uid}/volumes/`)),
			};
		};
		expect(await held()).toEqual({loopDevices: 1, isMounted: true});
		expect((await auditLeaks(api, cluster)).filter((leak) => leak.includes(handle))).toEqual([]);
		await removePod(api, holder);
		await expect.poll(held, {timeout: 60_000}).toEqual({loopDevices: 0, isMounted: false});
	});

	test('a volume grows in use', async () => {
		const claim = await createClaim({namespace, name: 'growing', storageClass: nodeLocalClass, volumeMode: 'Block'});
		const holder = await hold(claim, node2);
		await api.mergePatch(resources.persistentVolumeClaims, claim.metadata, {
			spec: {resources: {requests: {storage: '128Mi'}}},
		});
		await expect
			.poll(async () => (await claimOf(claim)).status?.capacity?.['storage'], {timeout: 60_000})
			.toBe('128Mi');
		const sizeInPod = await kubectl(
			'-n',
			namespace,
			'exec',
			holder.metadata.name,
			'--',
			'blockdev',
			'--getsize64',
			'/dev/disk',
		);
		expect(Number(sizeInPod)).toBe(128 * 1024 ** 2);
		await removePod(api, holder);
	});
});
