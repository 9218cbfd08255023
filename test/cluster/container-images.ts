import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {run} from './command.ts';
import {fileExists} from './file-exists.ts';
import type {Layout} from './layout.ts';
import {type ClusterNode, containerdSocket} from './node.ts';
import {withProgress} from './progress.ts';

/** Makes the images of an OCI archive known to the nodes, under the names that the archive gives them. A node that has loaded it is left alone. */
export async function loadImage(layout: Layout, nodes: readonly ClusterNode[], archive: string): Promise<void> {
	const {size, mtimeMs} = await stat(archive);
	const fingerprint = createHash('sha256')
		.update(`${path.resolve(archive)} ${size} ${mtimeMs}`)
		.digest('hex');
	const load = async (node: ClusterNode) => {
		const loadedMark = path.join(marksOf(layout, node), fingerprint);
		if (await fileExists(loadedMark)) return;
		await withProgress(`loading ${path.basename(archive)} into ${node.name}`, () =>
			run('ctr', ['--address', containerdSocket(layout, node), '-n', 'k8s.io', 'images', 'import', archive]),
		);
		await mkdir(path.dirname(loadedMark), {recursive: true});
		await writeFile(loadedMark, `${path.resolve(archive)}\n`);
	};
	await Promise.all(nodes.map(load));
}

/** A node that is new gets what the others have, as far as the archives are still there: what runs in the cluster can run on it. */
export async function loadKnownImages(layout: Layout, nodes: readonly ClusterNode[]): Promise<void> {
	const archives = new Set<string>();
	for (const node of nodes) {
		const marks = marksOf(layout, node);
		for (const mark of await readdir(marks).catch(() => [])) {
			archives.add((await readFile(path.join(marks, mark), 'utf8')).trim());
		}
	}
	for (const archive of archives) if (await fileExists(archive)) await loadImage(layout, nodes, archive);
}

function marksOf(layout: Layout, node: ClusterNode): string {
	return path.join(layout.runDir, 'loaded-images', node.name);
}
