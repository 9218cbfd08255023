import {readdir, readFile, readlink, rm, rmdir} from 'node:fs/promises';
import {createConnection} from 'node:net';
import path from 'node:path';
import {fileExists} from './file-exists.ts';
import {isInside, type Layout, ownFolders} from './layout.ts';

/**
 * Some places are fixed in the cluster's programs, and shared with other clusters of this machine: the kubelet links each container's log
 * into /var/log/containers, libcni keeps its results in /var/lib/cni. The files in them tell whose they are.
 */
export async function strayFiles(layout: Layout): Promise<string[]> {
	const found: string[] = [];
	for (const file of await filesIn('/var/log/containers')) {
		const target = await readlink(file).catch(() => '');
		if (ownFolders(layout).some((folder) => isInside(target, folder))) found.push(file);
	}
	for (const file of await filesIn('/var/lib/cni/results')) {
		// Each result names the pod's network namespace, which lies in our runtime folder.
		const result = await readFile(file, 'utf8').catch(() => '');
		if (result.includes(`${layout.runtimeDir}/`)) found.push(file);
	}
	return found;
}

/** The folders that only the cluster's programs use are removed with the last file in them. */
export async function removeStrayFiles(layout: Layout): Promise<void> {
	for (const file of await strayFiles(layout)) await rm(file, {force: true});
	if (await isDeadSocket(devicePluginSocket)) await rm(devicePluginSocket, {force: true});
	for (const folder of sharedFolders) await rmdir(folder).catch(() => {});
}

/** A shim that is killed leaves its socket in a shared folder, named by a hash; only its bundle knows which it is. */
export async function removeShimSockets(layout: Layout): Promise<void> {
	// Whatever has tasks is a containerd, however many nodes there were.
	for (const folder of await filesIn(layout.runtimeDir)) {
		const tasks = path.join(folder, 'io.containerd.runtime.v2.task', 'k8s.io');
		for (const bundle of await filesIn(tasks)) {
			const address = await readFile(path.join(bundle, 'address'), 'utf8').catch(() => '');
			const socket = address.trim().replace(/^unix:\/\//, '');
			if (socket.startsWith('/run/containerd/s/')) await rm(socket, {force: true});
		}
	}
}

/** Every kubelet of a machine makes this one, whatever its --root-dir; nobody here has device plugins. */
const devicePluginSocket = '/var/lib/kubelet/device-plugins/kubelet.sock';

/** The inner ones first. */
const sharedFolders = [
	'/var/lib/kubelet/device-plugins',
	'/var/lib/kubelet',
	'/var/lib/cni/results',
	'/var/lib/cni',
	'/var/log/containers',
	'/run/containerd/s',
	'/run/containerd',
	'/var/lib/onesnap',
];

/** A socket file that nobody listens on. */
async function isDeadSocket(file: string): Promise<boolean> {
	if (!(await fileExists(file))) return false;
	return new Promise((resolve) => {
		const connection = createConnection(file);
		connection.on('connect', () => {
			connection.destroy();
			resolve(false);
		});
		connection.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
	});
}

async function filesIn(folder: string): Promise<string[]> {
	const names = await readdir(folder).catch(() => []);
	return names.map((name) => path.join(folder, name));
}
