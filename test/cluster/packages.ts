import {rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {cacheDir} from './cache-folder.ts';
import {run, tryRun} from './command.ts';
import {fileExists} from './file-exists.ts';
import {withFileLock} from './file-lock.ts';
import {withProgress} from './progress.ts';

/** A file that each needed Debian package brings, so that the usual answer costs no dpkg call and other distributions work too. */
const evidence: Readonly<Record<string, readonly string[]>> = {
	containerd: ['/usr/bin/containerd', '/usr/local/bin/containerd'],
	runc: ['/usr/sbin/runc', '/usr/bin/runc', '/usr/local/sbin/runc', '/usr/local/bin/runc'],
	'containernetworking-plugins': ['/usr/lib/cni/bridge', '/opt/cni/bin/bridge'],
	buildah: ['/usr/bin/buildah', '/usr/local/bin/buildah'],
	debootstrap: ['/usr/sbin/debootstrap'],
	'qemu-utils': ['/usr/bin/qemu-img', '/usr/local/bin/qemu-img'],
	'xz-utils': ['/usr/bin/xz'],
	xfsprogs: ['/sbin/mkfs.xfs', '/usr/sbin/mkfs.xfs'],
	e2fsprogs: ['/sbin/mkfs.ext4', '/usr/sbin/mkfs.ext4'],
	iptables: ['/usr/sbin/iptables', '/sbin/iptables'],
	conntrack: ['/usr/sbin/conntrack', '/sbin/conntrack'],
	iproute2: ['/usr/sbin/ip', '/sbin/ip', '/bin/ip'],
	'util-linux': ['/usr/bin/nsenter', '/bin/nsenter'],
	kmod: ['/sbin/modprobe', '/usr/sbin/modprobe'],
	mount: ['/sbin/losetup', '/usr/sbin/losetup'],
	openssl: ['/usr/bin/openssl'],
	zstd: ['/usr/bin/zstd', '/usr/local/bin/zstd'],
	curl: ['/usr/bin/curl', '/usr/local/bin/curl'],
	nbdkit: ['/usr/bin/nbdkit', '/usr/sbin/nbdkit', '/usr/local/sbin/nbdkit'],
	strace: ['/usr/bin/strace'],
	'ca-certificates': ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'],
};

const storage = ['xfsprogs', 'e2fsprogs', 'util-linux', 'mount'] as const;

/** What a part of the project needs from the system. */
export const packagesFor = {
	controlPlane: ['openssl'],
	/** The CSI driver by itself. */
	storage,
	node: [
		...storage,
		'containerd',
		'runc',
		'containernetworking-plugins',
		'iptables',
		'conntrack',
		'iproute2',
		'kmod',
		'ca-certificates',
	],
	/** What unit tests make their files with, and what the workers start. */
	unit: ['qemu-utils', 'xz-utils', 'openssl', 'util-linux', 'mount'],
	/** The test of hostile images, which traces the importer. */
	hostileImages: ['strace', 'qemu-utils', 'xz-utils'],
	images: ['buildah', 'debootstrap', 'qemu-utils', 'xz-utils', 'e2fsprogs', 'ca-certificates'],
	/** What the importer is measured against. */
	importBench: ['qemu-utils', 'curl', 'zstd', 'nbdkit'],
} as const;

/** Installs the Debian packages of one purpose that are not there yet. */
export async function ensurePackages(purpose: keyof typeof packagesFor): Promise<void> {
	const missing: string[] = [];
	for (const name of packagesFor[purpose]) {
		if (!(await anyExists(evidence[name] ?? []))) missing.push(name);
	}
	if (missing.length > 0) await installPackages(missing);
}

/** The version of a package that apt would install, as apt writes it; undefined where there is no apt or no such package. */
export async function installableVersion(name: string): Promise<string | undefined> {
	if (process.getuid?.() === 0) await whileNoOtherInstalls(() => tryRun('apt-get', ['update', '-qq']));
	const policy = await tryRun('apt-cache', ['policy', name]);
	// An epoch before the colon is not part of the upstream version.
	return /Candidate: (?:\d+:)?(\d\S*)/.exec(policy ?? '')?.[1];
}

export async function installPackages(names: readonly string[]): Promise<void> {
	const list = names.join(' ');
	if (process.getuid?.() !== 0 || (await tryRun('apt-get', ['--version'])) === undefined) {
		throw new Error(
			`these Debian packages (or what they stand for on this system) are needed and missing, install them as root: apt-get install ${list}`,
		);
	}
	await withProgress(`installing Debian packages: ${list}`, () =>
		whileNoOtherInstalls(async () => {
			const env = {DEBIAN_FRONTEND: 'noninteractive'};
			await run('apt-get', ['update', '-qq'], {env});
			await withoutStartingServices(() =>
				run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], {env}),
			);
		}),
	);
}

/** apt fails at once where another one is at work, as for a test project that starts at the same moment. */
function whileNoOtherInstalls<T>(work: () => Promise<T>): Promise<T> {
	return withFileLock(path.join(cacheDir, 'packages.lock'), 'it installs packages', work);
}

/**
 * Debian starts the service that a package brings, here a system-wide containerd. Maintainer scripts ask /usr/sbin/policy-rc.d first;
 * 101 is "not allowed". Somebody's own policy stays in place: it is theirs.
 */
async function withoutStartingServices(install: () => Promise<unknown>): Promise<void> {
	const policy = '/usr/sbin/policy-rc.d';
	let ours = true;
	try {
		await writeFile(policy, '#!/bin/sh\nexit 101\n', {mode: 0o755, flag: 'wx'});
	} catch {
		ours = false;
	}
	try {
		await install();
	} finally {
		if (ours) await rm(policy, {force: true});
	}
}

async function anyExists(files: readonly string[]): Promise<boolean> {
	for (const file of files) {
		if (await fileExists(file)) return true;
	}
	return false;
}
