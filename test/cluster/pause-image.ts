import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readFile, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {cacheDir} from './cache-folder.ts';
import {run} from './command.ts';
import {ensureGo} from './go.ts';
import {writeOciArchive} from './oci-archive.ts';
import {withProgress} from './progress.ts';
import {fileExists} from './file-exists.ts';

/** Every pod's first container. There is no registry to pull the usual one from. */
export const pauseImageName = 'onesnap.local/pause:1';

const sourceDir = path.join(import.meta.dirname, 'pause');

/** The OCI archive of the pause image, built once per version of its source. */
export async function ensurePauseImage(): Promise<string> {
	const source = await readFile(path.join(sourceDir, 'main.go'));
	const hash = createHash('sha256').update(source).digest('hex').slice(0, 12);
	const archive = path.join(cacheDir, `pause-${hash}.oci.tar`);
	if (await fileExists(archive)) return archive;
	const go = await ensureGo();
	await mkdir(cacheDir, {recursive: true});
	const work = await mkdtemp(path.join(cacheDir, '.pause-'));
	try {
		await withProgress('building the pause image', async () => {
			const rootDir = path.join(work, 'root');
			await run(go, ['build', '-trimpath', '-ldflags=-s -w', '-o', path.join(rootDir, 'pause'), '.'], {
				cwd: sourceDir,
				env: {CGO_ENABLED: '0', GOWORK: 'off'},
			});
			const unfinished = path.join(work, 'pause.oci.tar');
			await writeOciArchive(unfinished, {name: pauseImageName, rootDir, command: ['/pause']});
			await rename(unfinished, archive);
		});
	} finally {
		await rm(work, {recursive: true, force: true});
	}
	return archive;
}
