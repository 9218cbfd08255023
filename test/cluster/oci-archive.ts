import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {run} from './command.ts';

/** Writes an image of one layer, made from a folder, as an OCI archive: small images need no builder. */
export async function writeOciArchive(
	archive: string,
	image: {readonly name: string; readonly rootDir: string; readonly command: readonly string[]},
): Promise<void> {
	const work = await mkdtemp(path.join(tmpdir(), 'onesnap-image-'));
	try {
		const blobs = path.join(work, 'blobs', 'sha256');
		await mkdir(blobs, {recursive: true});
		const addBlob = async (mediaType: string, content: Buffer | string) => {
			const hash = createHash('sha256').update(content).digest('hex');
			await writeFile(path.join(blobs, hash), content);
			return {mediaType, digest: `sha256:${hash}`, size: Buffer.byteLength(content)};
		};
		const json = (type: string, value: unknown) =>
			addBlob(`application/vnd.oci.image.${type}+json`, JSON.stringify(value));

		const layerFile = path.join(work, 'layer.tar');
		const sameEverywhere = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
		await run('tar', [...sameEverywhere, '-C', image.rootDir, '-cf', layerFile, '.']);
		const layer = await addBlob('application/vnd.oci.image.layer.v1.tar', await readFile(layerFile));
		await rm(layerFile);
		const config = await json('config.v1', {
			architecture: process.arch === 'x64' ? 'amd64' : process.arch,
			os: 'linux',
			config: {Entrypoint: image.command, Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin']},
			rootfs: {type: 'layers', diff_ids: [layer.digest]},
		});
		const manifest = await json('manifest.v1', {
			schemaVersion: 2,
			mediaType: 'application/vnd.oci.image.manifest.v1+json',
			config,
			layers: [layer],
		});
		// containerd takes the image's name from its own annotation, buildah and others from OCI's.
		const annotations = {'io.containerd.image.name': image.name, 'org.opencontainers.image.ref.name': image.name};
		await writeFile(
			path.join(work, 'index.json'),
			JSON.stringify({schemaVersion: 2, manifests: [{...manifest, annotations}]}),
		);
		await writeFile(path.join(work, 'oci-layout'), JSON.stringify({imageLayoutVersion: '1.0.0'}));
		await run('tar', ['-C', work, '-cf', archive, 'oci-layout', 'index.json', 'blobs']);
	} finally {
		await rm(work, {recursive: true, force: true});
	}
}
