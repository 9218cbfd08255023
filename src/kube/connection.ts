import {Agent} from 'node:http';
import type {RequestOptions} from 'node:https';
import {KubeConfig} from '@kubernetes/client-node';
import {type Clock, systemClock} from '../process/clock.ts';

/** What authenticates one request. */
export interface Credentials {
	readonly headers: Readonly<Record<string, string>>;
	readonly tls: TlsOptions;
	/** Only when requests must go through a proxy. */
	readonly agent?: Agent;
}

type TlsOptions = Pick<
	RequestOptions,
	'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'
>;

/** Where the API server is and how to prove who we are. */
export interface Connection {
	/** May have a path in front of /api (proxies such as Rancher's). */
	readonly server: URL;
	/** The namespace of the kubeconfig's context, or the Pod's own. */
	readonly namespace: string | undefined;
	/** Asked before each request: tokens and certificates expire. */
	readonly credentials: () => Promise<Credentials>;
	/** Told when the server answered 401, so that the next request does not come with the same stale token. */
	readonly rejected: () => void;
}

/** Reading a kubeconfig's files for each request would be a waste; client-go's interval for token files is a minute as well. */
const credentialsKeptMs = 30_000;

/** Field names of RequestOptions that KubeConfig fills. */
const tlsFields = ['ca', 'cert', 'key', 'pfx', 'passphrase', 'rejectUnauthorized', 'servername'] as const;

/** Which of a kubeconfig's clusters, and as whom: what kubectl's flags of these names say. */
export interface ConnectionChoice {
	/** Path of a kubeconfig; default as for {@link connect}. */
	readonly kubeconfig?: string | undefined;
	readonly context?: string | undefined;
	readonly cluster?: string | undefined;
	readonly user?: string | undefined;
	/** The user to act as, where who is connected may. */
	readonly as?: string | undefined;
}

/** Throws an Error that says what the kubeconfig has, where it has not what was asked for. */
export function connectTo({kubeconfig, context, cluster, user, as}: ConnectionChoice, clock?: Clock): Connection {
	const config = load(kubeconfig);
	const name = context ?? config.getCurrentContext();
	const base = config.getContextObject(name);
	if (context !== undefined && !base) throw missing('context', context, config.getContexts());
	if (cluster !== undefined && !config.getCluster(cluster)) throw missing('cluster', cluster, config.getClusters());
	if (user !== undefined && !config.getUser(user)) throw missing('user', user, config.getUsers());
	const chosen = {
		name: 'as the flags say',
		cluster: cluster ?? base?.cluster ?? '',
		user: user ?? base?.user ?? '',
		...(base?.namespace !== undefined && {namespace: base.namespace}),
	};
	config.contexts = [...config.getContexts(), chosen];
	config.setCurrentContext(chosen.name);
	const connection = connectionFrom(config, clock ?? systemClock);
	if (as === undefined) return connection;
	const credentials = async () => {
		const own = await connection.credentials();
		return {...own, headers: {...own.headers, 'Impersonate-User': as}};
	};
	return {...connection, credentials};
}

function missing(what: string, name: string, there: readonly {readonly name: string}[]): Error {
	const names = there.map((each) => each.name).join(', ');
	return new Error(`the kubeconfig has no ${what} "${name}"; it has: ${names || 'none'}`);
}

function load(kubeconfig: string | undefined): KubeConfig {
	const config = new KubeConfig();
	if (kubeconfig) config.loadFromFile(kubeconfig);
	else config.loadFromDefault();
	return config;
}

/** A kubeconfig, the file in `KUBECONFIG` or `~/.kube/config`, or the Pod's service account: the first that there is. */
export function connect(kubeconfig?: string, clock: Clock = systemClock): Connection {
	return connectionFrom(load(kubeconfig), clock);
}

/**
 * KubeConfig knows the formats, the exec plugins (whose answers it keeps until they expire) and token files (which it reads
 * again each minute); only its answers are used here, not its HTTP client.
 */
function connectionFrom(config: KubeConfig, clock: Clock): Connection {
	const cluster = config.getCurrentCluster();
	if (!cluster) throw new Error(`kubeconfig has no cluster for the context "${config.getCurrentContext()}"`);
	let kept: {readonly credentials: Promise<Credentials>; readonly untilMs: number} | undefined;

	async function load(): Promise<Credentials> {
		const options: RequestOptions = {headers: {}};
		// Makes an agent for TLS even where there is none: over plain HTTP it insists on skipTLSVerify.
		try {
			await config.applyToHTTPSOptions(options);
		} catch (cause) {
			// Exec plugins may fail without a word.
			const words = cause instanceof Error && cause.message ? cause.message : 'no reason given';
			throw new Error(`no credentials for ${cluster?.server} as "${config.getCurrentUser()?.name}": ${words}`, {cause});
		}
		const headers: Record<string, string> = {};
		for (const [name, value] of Object.entries(options.headers ?? {})) headers[name] = String(value).trim();
		if (options.auth) headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
		const tls = Object.fromEntries(
			tlsFields.filter((field) => options[field] !== undefined).map((field) => [field, options[field]]),
		) as TlsOptions;
		return cluster?.proxyUrl && options.agent instanceof Agent ? {headers, tls, agent: options.agent} : {headers, tls};
	}

	return {
		server: new URL(cluster.server),
		namespace: config.getContextObject(config.getCurrentContext())?.namespace,
		credentials() {
			const nowMs = clock.monotonicMs();
			if (!kept || kept.untilMs <= nowMs) {
				const credentials = load();
				kept = {credentials, untilMs: nowMs + credentialsKeptMs};
				credentials.catch(() => {
					kept = undefined;
				});
			}
			return kept.credentials;
		},
		rejected() {
			kept = undefined;
		},
	};
}
