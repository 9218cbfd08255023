import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {stringify} from 'yaml';
import {type Daemon, flags} from './daemon.ts';
import {writeKubeconfig} from './kubeconfig.ts';
import {firstHost} from './ipv4.ts';
import {makeAuthority, makeCertificate, makeServiceAccountKeys} from './pki.ts';
import {fileExists} from './file-exists.ts';

export type ControlPlaneSettings = {
	/** Holds keys, kubeconfigs and etcd's data; made if missing. */
	readonly dir: string;
	/** Where the API server is reached, by its clients and (behind the `kubernetes` Service) by pods. */
	readonly address: string;
	readonly port: number;
	readonly serviceCidr: string;
	/** Written by the API server: one line of JSON per write request. */
	readonly auditLog?: string;
};

/** Users of the API server besides pods. A node's user comes with its node. */
const users = {
	admin: {commonName: 'admin', organization: 'system:masters'},
	'controller-manager': {commonName: 'system:kube-controller-manager'},
	scheduler: {commonName: 'system:kube-scheduler'},
	proxy: {commonName: 'system:kube-proxy'},
} as const;

export type User = keyof typeof users;

const userNames: readonly User[] = ['admin', 'controller-manager', 'scheduler', 'proxy'];

const serverNames = [
	'localhost',
	'kubernetes',
	'kubernetes.default',
	'kubernetes.default.svc',
	'kubernetes.default.svc.cluster.local',
];

export function kubeconfigOf(settings: ControlPlaneSettings, user: User | `node-${string}`): string {
	return path.join(settings.dir, `${user}.kubeconfig`);
}

function pkiOf(settings: ControlPlaneSettings) {
	const file = (name: string) => path.join(settings.dir, 'pki', name);
	const pair = (name: string) => ({certificate: file(`${name}.crt`), key: file(`${name}.key`)});
	return {
		dir: path.join(settings.dir, 'pki'),
		authority: pair('onesnap-ca'),
		frontProxyAuthority: pair('onesnap-front-proxy-ca'),
		server: pair('api-server'),
		kubeletClient: pair('api-server-kubelet-client'),
		frontProxy: pair('front-proxy'),
		serviceAccount: {privateKey: file('service-account.key'), publicKey: file('service-account.pub')},
	};
}

/** The authority that signs for every client of this control plane. */
export function clientAuthority(settings: ControlPlaneSettings): string {
	return pkiOf(settings).authority.certificate;
}

/** Makes what the daemons read: keys, kubeconfigs, the audit policy. Does nothing where that is done already. */
export async function prepareControlPlane(settings: ControlPlaneSettings): Promise<void> {
	const done = path.join(settings.dir, 'prepared');
	if (await fileExists(done)) return;
	const pki = pkiOf(settings);
	await mkdir(pki.dir, {recursive: true, mode: 0o700});
	await Promise.all([makeAuthority(pki.dir, 'onesnap-ca'), makeAuthority(pki.dir, 'onesnap-front-proxy-ca')]);
	await Promise.all([
		makeCertificate(pki.dir, pki.authority, {
			name: 'api-server',
			commonName: 'kube-apiserver',
			names: [
				...serverNames.map((name) => `DNS:${name}`),
				...['127.0.0.1', settings.address, firstHost(settings.serviceCidr)].map((address) => `IP:${address}`),
			],
		}),
		makeCertificate(pki.dir, pki.authority, {
			name: 'api-server-kubelet-client',
			commonName: 'kube-apiserver-kubelet-client',
			organization: 'system:masters',
		}),
		makeCertificate(pki.dir, pki.frontProxyAuthority, {name: 'front-proxy', commonName: 'front-proxy-client'}),
		makeServiceAccountKeys(pki.dir),
		...userNames.map((user) => addUser(settings, user, users[user])),
		writeFile(path.join(settings.dir, 'audit-policy.yaml'), stringify(auditPolicy)),
	]);
	await writeFile(done, '');
}

/** A kubelet's user; NodeRestriction lets it touch only its own node and pods. */
export async function addNodeUser(settings: ControlPlaneSettings, node: string): Promise<string> {
	const kubeconfig = kubeconfigOf(settings, `node-${node}`);
	if (!(await fileExists(kubeconfig))) {
		await addUser(settings, `node-${node}`, {commonName: `system:node:${node}`, organization: 'system:nodes'});
	}
	return kubeconfig;
}

async function addUser(
	settings: ControlPlaneSettings,
	user: User | `node-${string}`,
	subject: {readonly commonName: string; readonly organization?: string},
): Promise<void> {
	const {dir, authority} = pkiOf(settings);
	await writeKubeconfig(kubeconfigOf(settings, user), {
		server: `https://${settings.address}:${settings.port}`,
		authority,
		user: await makeCertificate(dir, authority, {name: user, ...subject}),
	});
}

/** Who wrote what and when, without bodies: enough to count writes per object and client. */
const auditPolicy = {
	apiVersion: 'audit.k8s.io/v1',
	kind: 'Policy',
	omitStages: ['RequestReceived'],
	rules: [{level: 'Metadata', verbs: ['create', 'update', 'patch', 'delete', 'deletecollection']}, {level: 'None'}],
};

/**
 * etcd listens on a Unix socket in its working folder, so that it needs no port. Two oddities: it insists on "host:port" also there (the
 * socket is a file named `etcd:0`), and a relative name keeps clear of the 107 characters that a socket's path may have.
 */
const etcdUrl = 'unix://etcd:0';
const noPeers = 'http://127.0.0.1:0';

export function etcdDaemon(settings: ControlPlaneSettings, program: string): Daemon {
	return {
		name: 'etcd',
		program,
		cwd: settings.dir,
		args: [
			...flags({
				'data-dir': path.join(settings.dir, 'etcd-data'),
				'listen-client-urls': etcdUrl,
				'advertise-client-urls': etcdUrl,
				'listen-peer-urls': noPeers,
				'initial-advertise-peer-urls': noPeers,
				'initial-cluster': `default=${noPeers}`,
				'log-level': 'warn',
			}),
			// The data need not survive a power cut, and starting up takes 2 s without it.
			'--unsafe-no-fsync',
		],
	};
}

export function apiServerDaemon(settings: ControlPlaneSettings, program: string): Daemon {
	const pki = pkiOf(settings);
	return {
		name: 'kube-apiserver',
		program,
		cwd: settings.dir,
		args: flags({
			'etcd-servers': etcdUrl,
			'bind-address': settings.address,
			'advertise-address': settings.address,
			'secure-port': settings.port,
			'service-cluster-ip-range': settings.serviceCidr,
			'cert-dir': pki.dir,
			'tls-cert-file': pki.server.certificate,
			'tls-private-key-file': pki.server.key,
			'client-ca-file': pki.authority.certificate,
			'service-account-issuer': 'https://kubernetes.default.svc',
			'service-account-key-file': pki.serviceAccount.publicKey,
			'service-account-signing-key-file': pki.serviceAccount.privateKey,
			'authorization-mode': 'Node,RBAC',
			'enable-admission-plugins': 'NodeRestriction',
			'allow-privileged': true,
			'kubelet-client-certificate': pki.kubeletClient.certificate,
			'kubelet-client-key': pki.kubeletClient.key,
			// Node names do not resolve here.
			'kubelet-preferred-address-types': 'InternalIP',
			// Aggregated APIs know the user from these headers.
			'requestheader-client-ca-file': pki.frontProxyAuthority.certificate,
			'requestheader-allowed-names': 'front-proxy-client',
			'requestheader-username-headers': 'X-Remote-User',
			'requestheader-group-headers': 'X-Remote-Group',
			'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
			'proxy-client-cert-file': pki.frontProxy.certificate,
			'proxy-client-key-file': pki.frontProxy.key,
			...(settings.auditLog && {
				'audit-log-path': settings.auditLog,
				'audit-policy-file': path.join(settings.dir, 'audit-policy.yaml'),
				// In megabytes. A log that is cut in two would be counted short.
				'audit-log-maxsize': 4096,
			}),
		}),
	};
}

/** Limits on requests stay at their defaults, as on a user's cluster: the volume binder's pace is part of what we measure. */
export function controllerManagerDaemon(settings: ControlPlaneSettings, program: string, port: number): Daemon {
	const pki = pkiOf(settings);
	const kubeconfig = kubeconfigOf(settings, 'controller-manager');
	return {
		name: 'kube-controller-manager',
		program,
		args: flags({
			kubeconfig,
			'authentication-kubeconfig': kubeconfig,
			'authorization-kubeconfig': kubeconfig,
			'bind-address': '127.0.0.1',
			'secure-port': port,
			'cert-dir': pki.dir,
			controllers: '*',
			'leader-elect': false,
			'use-service-account-credentials': true,
			'service-account-private-key-file': pki.serviceAccount.privateKey,
			'root-ca-file': pki.authority.certificate,
			'cluster-signing-cert-file': pki.authority.certificate,
			'cluster-signing-key-file': pki.authority.key,
		}),
	};
}

export function schedulerDaemon(settings: ControlPlaneSettings, program: string, port: number): Daemon {
	const kubeconfig = kubeconfigOf(settings, 'scheduler');
	return {
		name: 'kube-scheduler',
		program,
		args: flags({
			kubeconfig,
			'authentication-kubeconfig': kubeconfig,
			'authorization-kubeconfig': kubeconfig,
			'bind-address': '127.0.0.1',
			'secure-port': port,
			'cert-dir': pkiOf(settings).dir,
			'leader-elect': false,
		}),
	};
}
