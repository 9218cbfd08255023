import {generateKeyPairSync} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {run} from './command.ts';

export type Certificate = {
	readonly certificate: string;
	readonly key: string;
};

/** Ten years: a cluster that is thrown away never meets its end. */
const validity = ['-days', '3650'];

// Elliptic keys: made in milliseconds, where RSA keys for a whole cluster take seconds.
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function openssl(...args: readonly string[][]): Promise<string> {
	return run('openssl', args.flat());
}

function filesOf(dir: string, name: string): Certificate {
	return {certificate: path.join(dir, `${name}.crt`), key: path.join(dir, `${name}.key`)};
}

export async function makeAuthority(dir: string, name: string): Promise<Certificate> {
	const files = filesOf(dir, name);
	await openssl(
		['req', '-x509', ...newKey, ...validity, '-subj', `/CN=${name}`],
		['-addext', 'keyUsage=critical,keyCertSign,digitalSignature'],
		['-keyout', files.key, '-out', files.certificate],
	);
	return files;
}

export type Subject = {
	/** File name of the pair. */
	readonly name: string;
	/** The user, to the API server. */
	readonly commonName: string;
	/** The group, to the API server. */
	readonly organization?: string;
	/** `DNS:localhost`, `IP:127.0.0.1`; a certificate with names is a server's. */
	readonly names?: readonly string[];
};

export async function makeCertificate(dir: string, authority: Certificate, subject: Subject): Promise<Certificate> {
	const files = filesOf(dir, subject.name);
	const organization = subject.organization ? `/O=${subject.organization}` : '';
	await openssl(
		['req', '-x509', ...newKey, ...validity, '-subj', `${organization}/CN=${subject.commonName}`],
		['-CA', authority.certificate, '-CAkey', authority.key],
		['-addext', 'basicConstraints=critical,CA:FALSE'],
		['-addext', `extendedKeyUsage=clientAuth${subject.names ? ',serverAuth' : ''}`],
		subject.names ? ['-addext', `subjectAltName=${subject.names.join(',')}`] : [],
		['-keyout', files.key, '-out', files.certificate],
	);
	return files;
}

/** The pair that service account tokens are signed with: bare keys, no certificate. */
export async function makeServiceAccountKeys(
	dir: string,
): Promise<{readonly privateKey: string; readonly publicKey: string}> {
	const pair = generateKeyPairSync('ec', {
		namedCurve: 'P-256',
		publicKeyEncoding: {type: 'spki', format: 'pem'},
		privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
	});
	const files = {privateKey: path.join(dir, 'service-account.key'), publicKey: path.join(dir, 'service-account.pub')};
	await writeFile(files.privateKey, pair.privateKey, {mode: 0o600});
	await writeFile(files.publicKey, pair.publicKey);
	return files;
}
