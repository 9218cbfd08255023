/** Certificates for servers of tests. */
import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';

/** A self-signed one, valid for two days. PEM. @param names as in subjectAltName: `IP:127.0.0.1`, `DNS:host` */
export async function makeCertificate(...names: readonly string[]): Promise<{key: string; cert: string}> {
	const folder = await mkdtemp(join(tmpdir(), 'onesnap-tls-'));
	const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
	const subject = ['-subj', '/CN=onesnap test', '-addext', `subjectAltName=${names.join(',')}`];
	const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
	await promisify(execFile)('openssl', [...args, ...subject, '-keyout', key, '-out', cert]);
	const pair = {key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8')};
	await rm(folder, {recursive: true});
	return pair;
}
