/** Small real disk images: an ext4 file system in a raw file and in qcow2 images of it, and what imports of them must hold. */
import {mkdir, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {run} from '../cluster/command.ts';
import {convertToQcow2, digestOf, noise, qemuImg} from '../support/disk-images.ts';

export interface TestImage {
	readonly file: string;
	/** Path on the image server. */
	readonly path: string;
	readonly fileBytes: number;
	/** Of the file, as transferred. */
	readonly fileSha256: string;
	readonly virtualBytes: number;
	/** Of what `qemu-img convert -O raw` makes of it. */
	readonly rawSha256: string;
}

export type TestImages = Readonly<Record<'qcow2' | 'raw' | 'overlay' | 'page', TestImage>>;

const mebibyte = 1024 ** 2;
const virtualMebibytes = 256;

async function describeImage(file: string): Promise<TestImage> {
	const raw = `${file}.converted`;
	await qemuImg('convert', '-O', 'raw', file, raw);
	const [{size: fileBytes}, {size: virtualBytes}] = [await stat(file), await stat(raw)];
	return {
		file,
		path: `/${path.basename(file)}`,
		fileBytes,
		fileSha256: await digestOf(file),
		virtualBytes,
		rawSha256: await digestOf(raw),
	};
}

async function makeFilesystem(folder: string): Promise<string> {
	const content = path.join(folder, 'content');
	await mkdir(path.join(content, 'etc'), {recursive: true});
	await writeFile(path.join(content, 'etc/hostname'), 'golden\n');
	await writeFile(path.join(content, 'noise'), noise(6 * mebibyte));
	await writeFile(path.join(content, 'text'), 'the same words again and again\n'.repeat(100_000));
	const raw = path.join(folder, 'disk.raw');
	await run('mkfs.ext4', ['-q', '-F', '-d', content, raw, `${virtualMebibytes}M`]);
	return raw;
}

export async function makeTestImages(folder: string): Promise<TestImages> {
	const raw = await makeFilesystem(folder);
	const qcow2 = path.join(folder, 'disk.qcow2');
	await convertToQcow2(raw, qcow2, ['-c']);
	const overlay = path.join(folder, 'overlay.qcow2');
	await qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', qcow2, overlay);
	const page = path.join(folder, 'page.html');
	await writeFile(page, `<!DOCTYPE html><title>Sign in</title>\n${'<p>Please sign in to go on.</p>\n'.repeat(50)}`);
	return {
		raw: await describeImage(raw),
		qcow2: await describeImage(qcow2),
		overlay: await describeImage(overlay),
		page: await describeImage(page),
	};
}
