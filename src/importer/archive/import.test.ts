import {execFile, execFileSync} from 'node:child_process';
import {mkdir, mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {digestOf, noise} from '../../../test/support/disk-images.ts';
import {type ImageServer, startImageServer} from '../../../test/support/image-server.ts';
import {importTo, type TaskChanges} from '../../../test/support/import-runs.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;
const packers: Readonly<Record<string, (tar: Buffer) => Buffer>> = {
	'/files.tar': (tar) => tar,
	'/files.tar.gz': (tar) => gzipSync(tar),
	'/files.tar.xz': (tar) => execFileSync('xz', ['-0', '--stdout'], {input: tar, maxBuffer: 2 ** 28}),
	'/files.tar.zst': (tar) => zstdCompressSync(tar),
};
let work = '';
let tree = '';
let claim = '';
let server: ImageServer;

beforeAll(async () => {
	work = await mkdtemp(join(tmpdir(), 'onesnap-archive-import-'));
	tree = join(work, 'tree');
	await mkdir(join(tree, 'boot'), {recursive: true});
	await writeFile(join(tree, 'boot/kernel'), noise(9 * MiB));
	await writeFile(join(tree, 'disk.img'), noise(MiB, 2));
	await run('tar', ['--mtime=2020-02-02', '-cf', join(work, 'files.tar'), '-C', tree, '.']);
	const tar = await readFile(join(work, 'files.tar'));
	const files: Record<string, string> = {};
	for (const [path, pack] of Object.entries(packers)) {
		files[path] = join(work, path);
		await writeFile(files[path], pack(tar));
	}
	server = await startImageServer({files});
}, 60_000);
afterAll(async () => {
	await server.close();
	await rm(work, {recursive: true});
});
beforeEach(async () => {
	claim = join(work, 'claim');
	await rm(claim, {recursive: true, force: true});
	await mkdir(join(claim, 'lost+found'), {recursive: true});
});

const extract = (path: string, changes: TaskChanges = {}) =>
	importTo({volumeMode: 'Filesystem', path: claim}, `${server.url}${path}`, {contentType: 'archive', ...changes});

async function expectTree(): Promise<void> {
	await run('tar', ['--compare', '--file', join(work, 'files.tar'), '-C', claim]);
	expect((await readdir(claim)).sort()).toEqual(['boot', 'disk.img', 'lost+found']);
}

describe('an archive becomes the files of a claim', () => {
	test.each(Object.keys(packers).flatMap((path) => [true, false].map((ranges) => [path, ranges] as const)))(
		'%s, ranges: %s',
		async (path, ranges) => {
			server.behave(path, {ignoreRange: !ranges});
			const checksum = `sha256:${await digestOf(join(work, path))}`;
			expect(await extract(path, {checksum})).toMatchObject({
				outcome: 'succeeded',
				message: expect.stringContaining('Extracted an archive of 4 entries') as string,
			});
			await expectTree();
		},
	);

	test('also files that are called as what the import of a disk leaves behind', async () => {
		const leftovers = join(work, 'leftovers');
		await mkdir(leftovers);
		for (const name of ['disk.img', 'disk.img.journal', 'disk.img.scratch'])
			await writeFile(join(leftovers, name), name);
		await run('tar', ['-cf', join(work, 'leftovers.tar'), '-C', leftovers, '.']);
		server.serve('/leftovers.tar', await readFile(join(work, 'leftovers.tar')));
		await extract('/leftovers.tar');
		expect(await readdir(claim)).toEqual(expect.arrayContaining(await readdir(leftovers)));
	});

	test('whatever an earlier try left', async () => {
		server.behave('/files.tar');
		await mkdir(join(claim, 'boot/kernel'), {recursive: true});
		await writeFile(join(claim, 'half'), 'x');
		await extract('/files.tar');
		await expectTree();
	});

	test.each(['/files.tar', '/files.tar.gz'])('but for one that is not what was meant: %s', async (path) => {
		server.behave(path);
		await expect(extract(path, {checksum: `md5:${'0'.repeat(32)}`})).rejects.toMatchObject({
			reason: 'ChecksumMismatch',
		});
		expect(await readdir(claim)).toEqual(['lost+found']);
	});

	test('but for one that is too large for it', async () => {
		server.behave('/files.tar.gz');
		await expect(extract('/files.tar.gz', {requestedBytes: String(8 * MiB)})).rejects.toMatchObject({
			reason: 'ImageTooLarge',
		});
		expect(await readdir(claim)).toEqual(['lost+found']);
	});

	test('if it was asked for: a disk is expected otherwise, and the message says what to do', async () => {
		server.behave('/files.tar');
		const disk = importTo({volumeMode: 'Filesystem', path: claim}, `${server.url}/files.tar`);
		await expect(disk).rejects.toMatchObject({
			reason: 'FormatNotSupported',
			message: expect.stringContaining('spec.contentType archive') as string,
		});
	});
});
