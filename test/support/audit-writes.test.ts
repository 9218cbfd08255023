import {mkdtemp, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {expect, test} from 'vitest';
import {writesSince} from './audit-writes.ts';

const ours = 'system:serviceaccount:onesnap:onesnap-controller';
const line = (username: string, userAgent: string, verb: string, resource: string, subresource?: string) =>
	`${JSON.stringify({verb, user: {username}, userAgent, objectRef: {resource, subresource}, responseStatus: {code: 200}})}\n`;

test('writes are counted from an offset, ours and those of others apart, without what the bench and time itself write', async () => {
	const folder = await mkdtemp(path.join(tmpdir(), 'onesnap-audit-'));
	try {
		const file = path.join(folder, 'audit.jsonl');
		const before = line(ours, 'onesnap/1', 'create', 'events');
		await writeFile(file, before);
		const {size} = await stat(file);
		const half = line(ours, 'onesnap/1', 'create', 'pods').slice(0, -20);
		const after = [
			line(ours, 'onesnap/1', 'patch', 'datavolumes', 'status'),
			line(ours, 'onesnap/1', 'patch', 'datavolumes', 'status'),
			line(ours, 'onesnap/1', 'create', 'events'),
			line(ours, 'onesnap/1', 'update', 'leases'),
			line('admin', 'csi-provisioner/v6', 'create', 'persistentvolumes'),
			line('system:serviceaccount:kube-system:persistent-volume-binder', 'kube-controller-manager/v1', 'update', 'x'),
			line('system:node:node1', 'kubelet/v1', 'patch', 'nodes', 'status'),
			line('admin', 'onesnap-bench', 'create', 'datavolumes'),
		];
		await writeFile(file, `${before}${after.join('')}${half}`);
		expect(await writesSince(file, size, 'onesnap-bench')).toEqual({
			ours: 3,
			others: 2,
			oursByKind: {'patch datavolumes/status': 2, 'create events': 1},
			othersByClient: {'csi-provisioner admin': 1, 'kube-controller-manager persistent-volume-binder': 1},
		});
	} finally {
		await rm(folder, {recursive: true, force: true});
	}
});
