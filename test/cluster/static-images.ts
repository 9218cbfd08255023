import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readFile, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {cacheDir} from './cache-folder.ts';
import {run} from './command.ts';
import {ensureGo} from './go.ts';
import {writeOciArchive} from './oci-archive.ts';
import {withProgress} from './progress.ts';
import {fileExists} from './file-exists.ts';

/** An image of one static program, which is made from the Go sources in the folder of its name. */
export type StaticImage = {
	/** Of the folder here, of the program and of the image. */
	readonly program: string;
	readonly name: string;
};

/** Every pod's first container. There is no registry to pull the usual one from. */
export const pauseImage: StaticImage = {program: 'pause', name: 'onesnap.local/pause:1'};

/** What local-path-provisioner runs on nodes. */
export const volumeFolderImage: StaticImage = {program: 'volume-folder', name: 'onesnap.local/volume-folder:1'};

/** Those that a cluster needs before anything else runs in it. */
export const staticImages = [pauseImage, volumeFolderImage];

/** Where the program is in its image. */
export function commandOf({program}: StaticImage): string {
	return `/${program}`;
}

/** The OCI archive of the image, built once per version of its source. */
export async function ensureStaticImage(image: StaticImage): Promise<string> {
	const {program, name} = image;
	const sourceDir = path.join(import.meta.dirname, program);
	const source = await readFile(path.join(sourceDir, 'main.go'));
	const hash = createHash('sha256').update(source).digest('hex').slice(0, 12);
	const archive = path.join(cacheDir, `${program}-${hash}.oci.tar`);
	if (await fileExists(archive)) return archive;
	const go = await ensureGo();
	await mkdir(cacheDir, {recursive: true});
	const work = await mkdtemp(path.join(cacheDir, `.${program}-`));
	try {
		await withProgress(`building the image ${name}`, async () => {
			const rootDir = path.join(work, 'root');
			await run(go, ['build', '-trimpath', '-ldflags=-s -w', '-o', path.join(rootDir, program), '.'], {
				cwd: sourceDir,
				env: {CGO_ENABLED: '0', GOWORK: 'off'},
			});
			const unfinished = path.join(work, `${program}.oci.tar`);
			await writeOciArchive(unfinished, {name, rootDir, command: [commandOf(image)]});
			await rename(unfinished, archive);
		});
	} finally {
		await rm(work, {recursive: true, force: true});
	}
	return archive;
}
