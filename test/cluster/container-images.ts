import {createHash} from 'node:crypto';
import {mkdir, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {run} from './command.ts';
import {fileExists} from './file-exists.ts';
import type {Layout} from './layout.ts';
import {containerdSocket, nodes} from './node.ts';
import {withProgress} from './progress.ts';

/** Makes the images of an OCI archive known to all nodes, under the names that the archive gives them. An archive that is loaded already is left alone. */
export async function loadImage(layout: Layout, archive: string): Promise<void> {
	const {size, mtimeMs} = await stat(archive);
	const fingerprint = createHash('sha256')
		.update(`${path.resolve(archive)} ${size} ${mtimeMs}`)
		.digest('hex');
	const loadedMark = path.join(layout.runDir, 'loaded-images', fingerprint);
	if (await fileExists(loadedMark)) return;
	await withProgress(`loading ${path.basename(archive)} into the cluster`, async () => {
		for (const node of nodes) {
			await run('ctr', ['--address', containerdSocket(layout, node), '-n', 'k8s.io', 'images', 'import', archive]);
		}
	});
	await mkdir(path.dirname(loadedMark), {recursive: true});
	await writeFile(loadedMark, `${archive}\n`);
}
