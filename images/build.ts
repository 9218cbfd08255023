/**
 * Builds the images of the Dockerfile with buildah, without a Docker daemon and, unless asked otherwise, without an image
 * registry. Run it, or call ensureImages.
 *
 * ONESNAP_BASE=registry takes the Dockerfile's own bases; default are bases from Debian packages (bases.ts).
 *
 * All that can be rebuilt lies in the user's cache folder, keyed by its inputs: the bases (debootstrap, a minute), buildah's
 * layers, the finished archives. An unchanged project finds its archive there and runs nothing.
 */
import {mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {cacheDir} from '../test/cluster/cache-folder.ts';
import {run} from '../test/cluster/command.ts';
import {withFileLock} from '../test/cluster/file-lock.ts';
import {ensurePackages} from '../test/cluster/packages.ts';
import {report, withProgress} from '../test/cluster/progress.ts';
import {assemble} from './assemble.ts';
import {compile} from './compile.ts';
import {baseDebian, ensureBaseArchives} from './bases.ts';
import {contentKey, filesAsParts, isMissing, linkOrCopy} from './cache.ts';
import {runContained} from './contained.ts';

export interface BuiltImage {
	/** Name with the content tag, `localhost/onesnap/worker:<12 hex digits>`: another build has another name. */
	readonly reference: string;
	/** OCI archive. Carries the content tag and `:dev`. */
	readonly archive: string;
}

export interface BuiltImages {
	readonly controller: BuiltImage;
	readonly worker: BuiltImage;
}

const targets = ['worker', 'controller'] as const;
type Target = (typeof targets)[number];

const project = path.resolve(import.meta.dirname, '..');
const cache = path.join(cacheDir, 'images');
/** Archives of this many builds stay in the cache. Checkouts hold theirs by a link of their own. */
const keptBuilds = 3;

export async function ensureImages(): Promise<BuiltImages> {
	const fromRegistry = process.env['ONESNAP_BASE'] === 'registry';
	// More than once when somebody edits while it builds: a key must stand for what was compiled.
	for (;;) {
		const key = await imagesKey(fromRegistry);
		if (await isBuilt(key)) return {controller: await publish('controller', key), worker: await publish('worker', key)};
		if (process.getuid?.() !== 0) throw new Error('building images needs root (chroot, mounts): run this as root');
		await ensurePackages('images');
		await withFileLock(path.join(cache, 'lock'), 'building images', async () => {
			if (!(await isBuilt(key))) await build(key, fromRegistry);
		});
	}
}

async function isBuilt(key: string): Promise<boolean> {
	const absent = await Promise.all(targets.map((target) => isMissing(archiveInCache(target, key))));
	return !absent.includes(true);
}

/** Over everything that the images are made from. */
async function imagesKey(fromRegistry: boolean): Promise<string> {
	const sources = await readdir(path.join(project, 'src'), {recursive: true, withFileTypes: true});
	const sourceFiles = sources
		.filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
		.map((entry) => path.relative(project, path.join(entry.parentPath, entry.name)));
	const scripts = (await readdir(path.join(project, 'images')))
		.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
		.map((name) => `images/${name}`);
	const settings = ['Dockerfile', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
	const parts = await filesAsParts(project, [...settings, ...scripts, ...sourceFiles]);
	return contentKey([['architecture', process.arch], ['base', fromRegistry ? 'registry' : 'debootstrap'], ...parts]);
}

/** Builds nothing when the project no longer is what the key stands for. The caller holds the lock. */
async function build(key: string, fromRegistry: boolean): Promise<void> {
	const work = path.join(cache, 'work');
	const store = path.join(cache, 'store');
	// What a killed build left. buildah cannot always read a store whose last writer was killed, so that goes as well: a
	// build that ends in order, well or not, takes its work folder away.
	if (!(await isMissing(work))) await rm(store, {recursive: true, force: true});
	await rm(work, {recursive: true, force: true});
	await mkdir(work, {recursive: true});
	const buildah = await openBuildah(store, work);
	try {
		const args = fromRegistry ? [] : await localArguments(buildah, work);
		if ((await imagesKey(fromRegistry)) !== key) return;
		for (const target of targets) {
			await withProgress(`building image onesnap/${target}:${key}`, async () => {
				const name = imageName(target, key);
				const common = ['--layers', '--target', target, '--build-arg', `VERSION=${key}`, '--tag', name];
				await buildah(['build', '--isolation', 'chroot', ...common, ...args, project]);
				await saveArchive(buildah, target, key, work);
			});
		}
		await forgetOldBuilds(buildah, key);
	} finally {
		await buildah(['rm', '--all']);
		await rm(work, {recursive: true, force: true});
	}
}

type Buildah = (args: readonly string[]) => Promise<string>;

/** buildah on a store of its own: nobody else's images are seen or touched. */
async function openBuildah(store: string, work: string): Promise<Buildah> {
	const open =
		(root: string, driver: string): Buildah =>
		(args) => {
			const options = ['--root', root, '--runroot', path.join(work, 'run'), '--storage-driver', driver];
			return runContained('buildah', [...options, ...args]);
		};
	// Overlay refuses file systems that cannot carry it, another overlay for one; vfs works on all, and copies.
	const overlayWorks = await open(
		path.join(work, 'probe'),
		'overlay',
	)(['images', '--quiet']).then(
		() => true,
		() => false,
	);
	return open(store, overlayWorks ? 'overlay' : 'vfs');
}

/** The Dockerfile's bases and its `build` stage, replaced by what is made on this machine. */
async function localArguments(buildah: Buildah, work: string): Promise<string[]> {
	const bases = await ensureBaseImages(buildah, work);
	const stage = path.join(work, 'stage');
	const dist = path.join(work, 'dist');
	await withProgress('compiling src', async () => {
		await compile(project, dist);
		await assemble(project, dist, path.join(stage, 'out'));
	});
	const baseArgs = targets.flatMap((target) => ['--build-arg', `${target.toUpperCase()}_BASE=${bases[target]}`]);
	return ['--build-context', `build=${stage}`, ...baseArgs];
}

async function ensureBaseImages(buildah: Buildah, work: string): Promise<Record<Target, string>> {
	const recipe = await filesAsParts(project, ['images/bases.ts', 'images/debian.ts']);
	const key = contentKey([['architecture', process.arch], ['debian', JSON.stringify(baseDebian)], ...recipe]);
	const folder = path.join(cache, 'bases', key);
	await ensureBaseArchives(folder, work);
	const image = (target: Target) => `localhost/onesnap/${target}-base:${key}`;
	const present = await buildah(['images', '--format', '{{.Name}}:{{.Tag}}']);
	for (const target of targets) {
		if (present.split('\n').includes(image(target))) continue;
		await withProgress(`unpacking the base of onesnap/${target}`, async () => {
			const dockerfile = path.join(work, 'Dockerfile.base');
			await writeFile(dockerfile, `FROM scratch\nADD ${target}.tar /\n`);
			await buildah(['build', '--isolation', 'chroot', '--file', dockerfile, '--tag', image(target), folder]);
		});
	}
	return {controller: image('controller'), worker: image('worker')};
}

async function saveArchive(buildah: Buildah, target: Target, key: string, work: string): Promise<void> {
	const name = imageName(target, key);
	const layout = path.join(work, `oci-${target}`);
	await buildah(['push', '--quiet', name, `oci:${layout}:${name}`]);
	const indexFile = path.join(layout, 'index.json');
	const index = withNames(await readFile(indexFile, 'utf8'), [name, imageName(target, 'dev')]);
	await writeFile(indexFile, index);
	const archive = archiveInCache(target, key);
	await mkdir(path.dirname(archive), {recursive: true});
	const temporary = `${archive}.partial`;
	await run('tar', ['-C', layout, '-cf', temporary, 'oci-layout', 'index.json', 'blobs']);
	await run('mv', [temporary, archive]);
	await rm(layout, {recursive: true});
}

/** buildah writes one name per archive; an importer makes an image of each entry of the index. */
export function withNames(ociIndex: string, names: readonly string[]): string {
	const index: {manifests: object[]} = JSON.parse(ociIndex);
	const [manifest] = index.manifests;
	const manifests = names.map((name) => ({
		...manifest,
		annotations: {
			'org.opencontainers.image.ref.name': name,
			// containerd takes this one for the full name.
			'io.containerd.image.name': name,
		},
	}));
	return JSON.stringify({...index, manifests});
}

/** Removes images and archives of earlier builds, so that the cache does not grow with every edit. */
async function forgetOldBuilds(buildah: Buildah, key: string): Promise<void> {
	const listed = await buildah(['images', '--format', '{{.Name}}:{{.Tag}}']);
	const old = listed.split('\n').filter((name) => targets.some((target) => isOldBuild(name, target, key)));
	if (old.length > 0) await buildah(['rmi', ...old]);
	const folder = path.join(cache, 'archives');
	for (const target of targets) {
		const names = (await readdir(folder)).filter((name) => name.startsWith(`${target}-`));
		const dated = await Promise.all(
			names.map(async (name) => ({name, madeAt: (await stat(path.join(folder, name))).mtimeMs})),
		);
		const stale = dated.sort((a, b) => b.madeAt - a.madeAt).slice(keptBuilds);
		for (const {name} of stale) await rm(path.join(folder, name));
	}
}

function isOldBuild(name: string, target: Target, key: string): boolean {
	return name.startsWith(`localhost/onesnap/${target}:`) && name !== imageName(target, key);
}

function imageName(target: Target, tag: string): string {
	return `localhost/onesnap/${target}:${tag}`;
}

function archiveInCache(target: Target, key: string): string {
	return path.join(cache, 'archives', `${target}-${key}.oci.tar`);
}

/** Puts the archive where people and the cluster look for it. */
async function publish(target: Target, key: string): Promise<BuiltImage> {
	const archive = path.join(project, '.onesnap/images', `${target}.oci.tar`);
	const cached = archiveInCache(target, key);
	const [there, wanted] = [await stat(archive).catch(() => undefined), await stat(cached)];
	if (there?.ino !== wanted.ino || there.dev !== wanted.dev) await linkOrCopy(cached, archive);
	return {reference: imageName(target, key), archive};
}

if (import.meta.main) {
	try {
		const {controller, worker} = await ensureImages();
		for (const {reference, archive} of [controller, worker]) {
			const mebibytes = Math.round((await stat(archive)).size / 2 ** 20);
			process.stdout.write(`${reference}  ${path.relative(process.cwd(), archive)}  ${mebibytes} MiB\n`);
		}
	} catch (error) {
		report(`images not built: ${error instanceof Error ? error.message : String(error)}`);
		process.exitCode = 1;
	}
}
