import {readdir, readFile} from 'node:fs/promises';
import {validateHeaderName, validateHeaderValue} from 'node:http';
import {join} from 'node:path';
import {z} from 'zod';
import type {ProxySettings} from '../api/import-proxy.ts';
import {
	type HttpImportSource,
	importPrivateFiles,
	type ImportTask,
	workerTaskVariable,
} from '../api/worker-contract.ts';
import {parseChecksum} from './checksum.ts';
import type {ProxyAccess} from './http/http-connections.ts';
import {defaultHttpTuning, type HttpTuning} from './http/http-source.ts';
import type {HttpAccess} from './http/http-request.ts';
import {WorkerError} from './worker-error.ts';

const volumeSchema = z.object({
	volumeMode: z.enum(['Filesystem', 'Block']),
	path: z.string().startsWith('/'),
});
const sizeFields = {
	ownerUid: z.string().min(1),
	requestedBytes: z
		.string()
		.regex(/^\d{1,15}$/, 'must be a decimal number of bytes')
		.refine((digits) => Number(digits) > 0, 'must be more than 0'),
	filesystemOverhead: z.number().min(0).max(1),
	preallocation: z.boolean(),
};

const folder = z.string().startsWith('/');

const httpSource = z.object({
	kind: z.literal('http'),
	url: z.string().min(1),
	extraHeaders: z.array(z.string()).exactOptional(),
	extraHeaderDirs: z.array(folder).exactOptional(),
	credentialsDir: folder.exactOptional(),
	certificatesDir: folder.exactOptional(),
	insecureSkipVerify: z.boolean().exactOptional(),
	proxy: z
		.object({
			http: z.string().exactOptional(),
			https: z.string().exactOptional(),
			noProxy: z.string().exactOptional(),
		})
		.exactOptional(),
	privateDir: folder.exactOptional(),
});

const importTask = z.object({
	source: z.discriminatedUnion('kind', [httpSource, z.object({kind: z.literal('blank')})]),
	target: volumeSchema,
	contentType: z.literal('archive').exactOptional(),
	checksum: z
		.string()
		.refine(
			(text) => parseChecksum(text) !== undefined,
			'must be md5:, sha1:, sha256: or sha512: and the hex digits of one',
		)
		.exactOptional(),
	scratchDir: folder.exactOptional(),
	...sizeFields,
});

type Environment = Readonly<Record<string, string | undefined>>;

export function parseImportTask(env: Environment): ImportTask {
	return parseTask(importTask, env);
}

/** A task the controller wrote wrongly is a bug of ours, and says which field. */
function parseTask<Task>(schema: z.ZodType<Task>, env: Environment): Task {
	const text = env[workerTaskVariable];
	if (text === undefined || text === '') {
		throw new WorkerError(
			'Internal',
			`${workerTaskVariable} is not set: this program is started by the onesnap controller.`,
		);
	}
	const parsed = schema.safeParse(parseJson(text));
	if (parsed.success) return parsed.data;
	const violations = parsed.error.issues.map(({path, message}) => `${path.join('.') || 'task'}: ${message}`);
	throw new WorkerError('Internal', `${workerTaskVariable} is no valid task: ${violations.join('; ')}.`);
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new WorkerError('Internal', `${workerTaskVariable} is no JSON.`, {cause: error});
	}
}

/** The whole URL, with what the task does not say of it. Not for people's eyes. */
export async function readSourceUrl({url, privateDir}: HttpImportSource): Promise<string> {
	return (await readPrivate(privateDir, importPrivateFiles.url)) ?? url;
}

/** Reads the mounted Secrets and ConfigMaps. */
export async function readHttpAccess(
	source: HttpImportSource,
	tuning: HttpTuning = defaultHttpTuning,
): Promise<HttpAccess> {
	const secretLines = await Promise.all((source.extraHeaderDirs ?? []).map((path) => readFolder(path)));
	const lines = [...(source.extraHeaders ?? []), ...secretLines.flat()];
	return {
		headers: Object.fromEntries(lines.flatMap((line) => parseHeaderLine(line))),
		...(source.credentialsDir !== undefined && {credentials: await readCredentials(source.credentialsDir)}),
		certificates: source.certificatesDir === undefined ? [] : await readFolder(source.certificatesDir),
		insecureSkipVerify: source.insecureSkipVerify ?? false,
		...(source.proxy && {proxy: await readProxy(source.proxy, source.privateDir)}),
		...tuning,
	};
}

async function readProxy(settings: ProxySettings, privateDir: string | undefined): Promise<ProxyAccess> {
	const {httpProxy, httpsProxy, proxyCertificates} = importPrivateFiles;
	const [http, https, certificates] = await Promise.all(
		[httpProxy, httpsProxy, proxyCertificates].map((name) => readPrivate(privateDir, name)),
	);
	return {
		...settings,
		...(http !== undefined && {http}),
		...(https !== undefined && {https}),
		certificates: certificates === undefined ? [] : [certificates],
	};
}

async function readPrivate(folder: string | undefined, name: string): Promise<string | undefined> {
	if (folder === undefined) return undefined;
	try {
		return await readFile(join(folder, name), 'utf8');
	} catch (error) {
		if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
		throw error;
	}
}

async function readCredentials(path: string): Promise<{user: string; password: string}> {
	try {
		const [user, password] = await Promise.all(
			['accessKeyId', 'secretKey'].map((name) => readFile(join(path, name), 'utf8')),
		);
		return {user: (user ?? '').trimEnd(), password: (password ?? '').trimEnd()};
	} catch (error) {
		throw new WorkerError('SourceForbidden', 'The Secret of the source must have the keys accessKeyId and secretKey.', {
			cause: error,
		});
	}
}

/** Contents of every file, in the order of the names. Kubernetes keeps its own links to a mounted object behind names with dots. */
async function readFolder(path: string): Promise<string[]> {
	const names = (await readdir(path)).filter((name) => !name.startsWith('..')).sort();
	return Promise.all(names.map((name) => readFile(join(path, name), 'utf8')));
}

/** `Name: value`. The line is not repeated in the message: it may be a token. */
function parseHeaderLine(line: string): Array<[string, string]> {
	const text = line.trim();
	if (text === '') return [];
	const colon = text.indexOf(':');
	const [name, value] = [text.slice(0, Math.max(0, colon)).trim().toLowerCase(), text.slice(colon + 1).trim()];
	try {
		validateHeaderName(name);
		validateHeaderValue(name, value);
	} catch (error) {
		throw new WorkerError('SourceRefused', 'An extra header of the source is not of the form "Name: value".', {
			cause: error,
		});
	}
	return [[name, value]];
}
