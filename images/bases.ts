/**
 * What the images stand on where no registry answers. The worker: Debian minbase with qemu-utils and xz-utils. The controller: the C and
 * C++ libraries that Node links to and nothing else, as distroless/cc has them; no shell there either.
 */
import {copyFile, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {isMissing} from './cache.ts';
import {archiveTree, bootstrapDebian, type DebianTree, slimTree} from './debian.ts';

export const baseDebian: DebianTree = {suite: 'bookworm', packages: ['ca-certificates', 'qemu-utils', 'xz-utils']};

/** What the controller's base takes from the worker's. */
const controllerPackages = ['libc6', 'libgcc-s1', 'libstdc++6'];
const controllerFiles = ['/etc/ssl/certs/ca-certificates.crt', '/etc/debian_version', '/usr/lib/os-release'];
/** Character set tables, which Node does not use, and documents other than licences. */
const notForController = /^\/usr\/(lib\/[^/]+\/gconv|share\/(?!doc\/.*\/copyright$))/;

/** Makes `worker.tar` and `controller.tar` in `folder`, once; the work happens in `work`, an empty folder. */
export async function ensureBaseArchives(folder: string, work: string): Promise<void> {
	if (!(await isMissing(path.join(folder, 'controller.tar')))) return;
	const tree = path.join(work, 'worker');
	const controllerTree = path.join(work, 'controller');
	await bootstrapDebian(baseDebian, tree);
	await slimTree(tree);
	await makeControllerTree(tree, controllerTree);
	await rm(folder, {recursive: true, force: true});
	await mkdir(folder, {recursive: true});
	for (const name of ['worker', 'controller']) {
		await archiveTree(path.join(work, name), path.join(work, `${name}.tar`));
		await rename(path.join(work, `${name}.tar`), path.join(folder, `${name}.tar`));
	}
	await rm(tree, {recursive: true});
	await rm(controllerTree, {recursive: true});
}

async function makeControllerTree(source: string, target: string): Promise<void> {
	for (const folder of ['etc', 'usr/lib', 'usr/lib64', 'usr/local/bin', 'proc', 'sys', 'dev', 'run', 'var']) {
		await mkdir(path.join(target, folder), {recursive: true});
	}
	await mkdir(path.join(target, 'tmp'), {mode: 0o1777});
	for (const name of ['lib', 'lib64']) await symlink(`usr/${name}`, path.join(target, name));
	for (const file of [...controllerFiles, ...(await packageFiles(source, controllerPackages))]) {
		if (!notForController.test(file)) await copyEntry(path.join(source, file), path.join(target, file));
	}
	await symlink('../usr/lib/os-release', path.join(target, 'etc/os-release'));
	await writeFile(
		path.join(target, 'etc/passwd'),
		'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n',
	);
	await writeFile(path.join(target, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n');
	await writeFile(path.join(target, 'etc/nsswitch.conf'), 'hosts: files dns\n');
}

/** Absolute paths of what the packages installed, from dpkg's own lists, with /lib told as /usr/lib. */
async function packageFiles(tree: string, packages: readonly string[]): Promise<string[]> {
	const info = path.join(tree, 'var/lib/dpkg/info');
	const lists = (await readdir(info)).filter((name) => {
		const owner = /^([^:]+)(:[a-z0-9]+)?\.list$/.exec(name)?.[1];
		return owner !== undefined && packages.includes(owner);
	});
	const files: string[] = [];
	for (const list of lists) {
		const lines = (await readFile(path.join(info, list), 'utf8')).split('\n');
		files.push(
			...lines.filter((line) => line.startsWith('/')).map((line) => line.replace(/^\/lib(64)?(?=\/|$)/, '/usr$&')),
		);
	}
	return files;
}

async function copyEntry(source: string, target: string): Promise<void> {
	const entry = await lstat(source).catch(() => undefined);
	// Slimmed away.
	if (entry === undefined || entry.isDirectory()) return;
	await mkdir(path.dirname(target), {recursive: true});
	if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
	else await copyFile(source, target);
}
