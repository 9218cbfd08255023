import {readFile, writeFile} from 'node:fs/promises';
import {stringify} from 'yaml';
import type {Certificate} from './pki.ts';

/** Certificates are embedded, so that the file works from any folder. */
export async function writeKubeconfig(
	file: string,
	to: {readonly server: string; readonly authority: Certificate; readonly user: Certificate},
): Promise<void> {
	const embed = async (pemFile: string) => (await readFile(pemFile)).toString('base64');
	const name = 'onesnap';
	const config = {
		apiVersion: 'v1',
		kind: 'Config',
		clusters: [
			{
				name,
				cluster: {
					server: to.server,
					'certificate-authority-data': await embed(to.authority.certificate),
				},
			},
		],
		users: [
			{
				name,
				user: {
					'client-certificate-data': await embed(to.user.certificate),
					'client-key-data': await embed(to.user.key),
				},
			},
		],
		contexts: [{name, context: {cluster: name, user: name}}],
		'current-context': name,
	};
	await writeFile(file, stringify(config), {mode: 0o600});
}
