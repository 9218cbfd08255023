/**
 * The demo's disk image: a real Debian root file system, as a cloud image would be. ext4 on the whole disk, 10 GiB of it
 * virtual, as qcow2 with zlib compression. Made once, kept in the user's cache folder.
 */
import {mkdir, readFile, rename, rm, stat, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {contentKey, filesAsParts} from '../../images/cache.ts';
import {bootstrapDebian, type DebianTree} from '../../images/debian.ts';
import {cacheDir} from '../cluster/cache-folder.ts';
import {run} from '../cluster/command.ts';
import {withFileLock} from '../cluster/file-lock.ts';
import {ensurePackages} from '../cluster/packages.ts';
import {withProgress} from '../cluster/progress.ts';

export interface DebianImage {
	/** The qcow2 file. */
	readonly path: string;
	/** Size of the disk that a guest sees. */
	readonly virtualBytes: number;
	/** Size of the qcow2 file: what is transferred. */
	readonly fileBytes: number;
	/** SHA-256, in hex, of `qemu-img convert -O raw` of the file: of all virtualBytes. */
	readonly rawSha256: string;
}

const virtualBytes = 10 * 2 ** 30;

/** What a small server has; a kernel would add nothing to see here and 300 MB. */
const system: DebianTree = {
	suite: 'bookworm',
	packages: [
		'ca-certificates',
		'curl',
		'dbus',
		'ifupdown',
		'iproute2',
		'less',
		'locales',
		'openssh-server',
		'perl',
		'python3',
		'sudo',
		'systemd-sysv',
		'systemd-timesyncd',
		'udev',
		'vim-tiny',
	],
};

export async function ensureDebianImage(): Promise<DebianImage> {
	const project = path.resolve(import.meta.dirname, '../..');
	const recipe = await filesAsParts(project, ['images/debian.ts', 'test/demo/debian-image.ts']);
	const key = contentKey([['architecture', process.arch], ...recipe]);
	const parent = path.join(cacheDir, 'demo');
	const folder = path.join(parent, `debian-${key}`);
	const known = await readImage(folder);
	if (known) return known;
	await ensurePackages('images');
	return withFileLock(path.join(parent, 'lock'), "making the demo's Debian image", async () => {
		const made = await readImage(folder);
		if (made) return made;
		const work = path.join(parent, 'work');
		await rm(work, {recursive: true, force: true});
		try {
			await makeImage(work, path.join(work, 'image'));
			await rm(folder, {recursive: true, force: true});
			await rename(path.join(work, 'image'), folder);
		} finally {
			await rm(work, {recursive: true, force: true});
		}
		const image = await readImage(folder);
		if (!image) throw new Error(`${folder}: just made, and not readable`);
		return image;
	});
}

const imageName = 'debian.qcow2';
const factsName = 'debian.json';

async function readImage(folder: string): Promise<DebianImage | undefined> {
	const file = path.join(folder, imageName);
	const [facts, entry] = await Promise.all([
		readFile(path.join(folder, factsName), 'utf8').catch(() => undefined),
		stat(file).catch(() => undefined),
	]);
	if (facts === undefined || entry === undefined) return undefined;
	const {rawSha256, fileBytes}: {rawSha256: string; fileBytes: number} = JSON.parse(facts);
	return entry.size === fileBytes ? {path: file, virtualBytes, fileBytes, rawSha256} : undefined;
}

async function makeImage(work: string, folder: string): Promise<void> {
	const tree = path.join(work, 'tree');
	const raw = path.join(work, 'disk.raw');
	const file = path.join(folder, imageName);
	await mkdir(folder, {recursive: true});
	await bootstrapDebian(system, tree);
	await configure(tree);
	await withProgress('making an ext4 file system of it', async () => {
		await writeFile(raw, '');
		await truncate(raw, virtualBytes);
		await run('/sbin/mkfs.ext4', ['-q', '-F', '-L', 'root', '-d', tree, raw]);
		await rm(tree, {recursive: true});
	});
	await withProgress('compressing the disk to qcow2', () =>
		run('qemu-img', ['convert', '-W', '-m', '4', '-c', '-f', 'raw', '-O', 'qcow2', raw, file]),
	);
	// Of the file that is served, not of the one that it was made from.
	const rawSha256 = await withProgress('SHA-256 of the raw disk (10 GiB)', async () => {
		await rm(raw);
		await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', file, raw]);
		// Five times as fast as sha256sum, which knows no SHA instructions.
		const [digest = ''] = (await run('openssl', ['dgst', '-sha256', '-r', raw])).split(' ');
		return digest;
	});
	const {size: fileBytes} = await stat(file);
	await writeFile(
		path.join(folder, factsName),
		`${JSON.stringify({rawSha256, fileBytes, virtualBytes}, null, '\t')}\n`,
	);
}

/** What the packages leave to an installer. */
async function configure(tree: string): Promise<void> {
	await writeFile(path.join(tree, 'etc/hostname'), 'golden\n');
	await writeFile(path.join(tree, 'etc/fstab'), 'LABEL=root / ext4 errors=remount-ro 0 1\n');
	// Every disk made from this one gets its own identity at first boot.
	await writeFile(path.join(tree, 'etc/machine-id'), '');
	for (const type of ['rsa', 'ecdsa', 'ed25519']) {
		for (const suffix of ['', '.pub'])
			await rm(path.join(tree, `etc/ssh/ssh_host_${type}_key${suffix}`), {force: true});
	}
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await ensureDebianImage(), null, '\t')}\n`);
