/**
 * What the controller and its worker Pods (importer, copier) say to each other.
 *
 * Down: one environment variable holding a JSON task. Secrets never travel in it, only the paths they are mounted at.
 * Up: a Prometheus counter on {@link workerMetricsPort} while it runs, and a JSON termination message at its end.
 *
 * Exit codes: 0 ends the Pod, anything else makes the kubelet start the container again with its own back-off
 * (restartPolicy OnFailure). So a *permanent* failure exits 0 as well, and the termination message tells it from success:
 * trying again cannot help, and a crash loop would hide the reason.
 */

import type {ProxySettings} from './import-proxy.ts';

/** Environment variable with the JSON of an {@link ImportTask} (importer) or a {@link CopierTask} (copier). */
export const workerTaskVariable = 'ONESNAP_TASK';

/** Port of the worker's plain HTTP server: `GET /metrics` (Prometheus text) and `GET /healthz`. */
export const workerMetricsPort = 8080;

/** Percent done, 0 to 100, label `ownerUID` = UID of the target claim. Names as CDI has them, dashboards read them. */
export const importProgressMetric = 'kubevirt_cdi_import_progress_total';
export const cloneProgressMetric = 'kubevirt_cdi_clone_progress_total';

/** Where the kubelet reads the termination message; at most {@link terminationMessageMaxBytes} of it. */
export const terminationMessagePath = '/dev/termination-log';
export const terminationMessageMaxBytes = 4096;

/** Exit code after success and after a permanent failure. */
export const exitFinished = 0;
/** Exit code after a failure that another try may cure. */
export const exitRetry = 1;

/** Mount points inside a worker Pod. Paths of claims are CDI's. */
export const workerPaths = {
	targetFilesystem: '/data',
	targetDevice: '/dev/cdi-block-volume',
	sourceFilesystem: '/source',
	sourceDevice: '/dev/cdi-source-volume',
	/** Secret with `accessKeyId` and `secretKey` (HTTP basic authentication). */
	credentials: '/credentials',
	/** ConfigMap with PEM certificates of trusted authorities, any file name. */
	certificates: '/certs',
	/** Secrets of `secretExtraHeaders`: /extraheaders/0, /extraheaders/1 …; every file in one is a header line. */
	extraHeaders: '/extraheaders',
	/** Secret with what of an import would have too many readers in its Pod; see {@link importPrivateFiles}. */
	importPrivate: '/import-private',
	/** Empty folder for what has to be put down whole before it can be read, where the target is a device. */
	scratch: '/scratch',
	/** Secret with the key of a copy between two nodes. */
	copyKey: '/copy-key',
} as const;

/** Each is there only where it is needed. */
export const importPrivateFiles = {
	/** The whole URL of the source, where the task's is without its user, password and query. */
	url: 'url',
	/** URLs of proxies that have a password. */
	httpProxy: 'httpProxy',
	httpsProxy: 'httpsProxy',
	/** PEM certificates of the authorities of proxies. */
	proxyCertificates: 'proxyCertificates.pem',
} as const;

/** Name of the disk image file at the root of a Filesystem claim: what KubeVirt opens. */
export const diskImageName = 'disk.img';

export type VolumeMode = 'Filesystem' | 'Block';

/** A claim as a worker sees it: the folder it is mounted at, or the device. */
export interface WorkerVolume {
	readonly volumeMode: VolumeMode;
	readonly path: string;
}

export interface HttpImportSource {
	readonly kind: 'http';
	/** Without user, password and query where {@link privateDir} has it whole. */
	readonly url: string;
	/** Header lines `Name: value` from `spec.source.http.extraHeaders`. */
	readonly extraHeaders?: readonly string[];
	/** Folders with header lines from Secrets. */
	readonly extraHeaderDirs?: readonly string[];
	readonly credentialsDir?: string;
	readonly certificatesDir?: string;
	readonly insecureSkipVerify?: boolean;
	/** URLs without passwords: they are in {@link privateDir}. */
	readonly proxy?: ProxySettings;
	/** Folder with {@link importPrivateFiles}. */
	readonly privateDir?: string;
}

export interface BlankImportSource {
	readonly kind: 'blank';
}

export interface ImportTask {
	readonly source: HttpImportSource | BlankImportSource;
	readonly target: WorkerVolume;
	/** A tar archive, to be unpacked into a Filesystem claim. Default: the image of a disk. */
	readonly contentType?: 'archive';
	/** UID of the claim that is filled; label of the progress metric. */
	readonly ownerUid: string;
	/** `algorithm:hex` over the bytes as transferred; md5, sha1, sha256 or sha512. */
	readonly checksum?: string;
	/**
	 * Size the claim's owner asked for, in bytes, as a decimal string (JSON numbers end at 2^53).
	 * The image must fit; a smaller image is grown to it.
	 */
	readonly requestedBytes: string;
	/** Share of a Filesystem claim that the file system itself needs, 0 to 1. 0 for Block. */
	readonly filesystemOverhead: number;
	readonly preallocation: boolean;
	/** {@link workerPaths}.scratch, where the target is a device. Beside a disk file there is room already. */
	readonly scratchDir?: string;
}

/** What every task that fills a claim says of it. */
interface CopyTarget {
	readonly target: WorkerVolume;
	readonly ownerUid: string;
	readonly requestedBytes: string;
	readonly filesystemOverhead: number;
	readonly preallocation: boolean;
	/**
	 * Names this source and this target, where the source cannot change between two tries: the next try may go on where
	 * one was killed. Absent where somebody may write to the source meanwhile: the next try begins anew.
	 */
	readonly content?: string;
}

/** From one claim to another on the same node. */
export interface CopyTask extends CopyTarget {
	readonly role: 'copy';
	readonly source: WorkerVolume;
}

/** Half of a copy between two nodes: serves its claim to whoever has the key, until it is told to stop. */
export interface SendTask {
	readonly role: 'send';
	readonly source: WorkerVolume;
	readonly ownerUid: string;
	readonly port: number;
	/** File with the copy's one key; see {@link copyKeyBytes}. */
	readonly keyFile: string;
}

/** The other half: fills its claim with what the sender has. */
export interface ReceiveTask extends CopyTarget {
	readonly role: 'receive';
	readonly sender: {readonly host: string; readonly port: number};
	readonly keyFile: string;
}

/** Looks how large the disk in a Filesystem claim is; writes nothing. No size in the result: there is none. */
export interface MeasureTask {
	readonly role: 'measure';
	readonly source: WorkerVolume;
}

export type CopierTask = CopyTask | SendTask | ReceiveTask | MeasureTask;

/** Where a sender listens, TLS with a pre-shared key. */
export const copyPort = 8443;
/** Length of that key, in bytes. */
export const copyKeyBytes = 32;
/** Its name in the Secret, and so the file's in the folder that the Secret is mounted at. */
export const copyKeyFile = 'key';

/** Why a worker ended without a disk. Closed; docs/errors.md explains each. */
export const workerFailures = [
	/** 404, 410. Permanent. */
	'SourceNotFound',
	/** 401, 403, 407. Permanent. */
	'SourceForbidden',
	/** Any other 4xx but 408, 425 and 429; a redirect that leads nowhere; a URL that cannot be used. Permanent. */
	'SourceRefused',
	/** 5xx, 408, 425, 429. Retryable. */
	'SourceUnavailable',
	/** Name not resolved, connection refused or cut, nothing received before the stall deadline. Retryable. */
	'SourceUnreachable',
	/** Certificate not trusted, host name wrong, handshake failed. Permanent. */
	'SourceUntrusted',
	/** The validator or the length changed while reading. Retryable: the next try reads the new content from its start. */
	'SourceChanged',
	/** Bytes received do not have the checksum that was asked for. Permanent. */
	'ChecksumMismatch',
	/** Neither a disk image nor anything that can be unpacked to one, or a damaged one. Permanent. */
	'InvalidImage',
	/** The image refers to another file: backing file or external data file. Permanent. */
	'ImageNotStandalone',
	/** Encrypted image. Permanent. */
	'ImageEncrypted',
	/** Virtual size larger than the claim can hold. Permanent. */
	'ImageTooLarge',
	/** The source volume of a copy does not hold what its mode promises (no disk.img). Permanent. */
	'SourceVolumeInvalid',
	/** A format that this version cannot read. Permanent. */
	'FormatNotSupported',
	/** Writing to the target failed (I/O error, no space left). Retryable. */
	'TargetWriteFailed',
	/** SIGTERM. Retryable. */
	'Interrupted',
	/** A bug, or a tool that failed for an unknown reason. Retryable. */
	'Internal',
] as const;
export type WorkerFailure = (typeof workerFailures)[number];

/** The termination message. */
export type WorkerResult =
	| {
			readonly outcome: 'succeeded';
			/** For people: what was done, with format, sizes, seconds. */
			readonly message: string;
			/** Bytes read from the source (import: over the network). Decimal string. */
			readonly bytesRead?: string;
			/** Size of the disk that was written, or looked at, in bytes. Decimal string. */
			readonly virtualBytes?: string;
	  }
	| {
			readonly outcome: 'failed';
			readonly reason: WorkerFailure;
			readonly retryable: boolean;
			/** For people: what was tried, on what, what came, what to do. No credentials in it. */
			readonly message: string;
	  };

/** Serialises a result for the kubelet, shortening the message so that the JSON stays whole within the limit. */
export function formatTerminationMessage(result: WorkerResult): string {
	const encoder = new TextEncoder();
	const fits = (text: string) => encoder.encode(text).length <= terminationMessageMaxBytes;
	const whole = JSON.stringify(result);
	if (fits(whole)) return whole;
	// By code points, so that no character is cut in two; how many bytes one takes depends on it and on JSON's escapes.
	const characters = Array.from(result.message);
	const shortened = (count: number) => JSON.stringify({...result, message: `${characters.slice(0, count).join('')}…`});
	let [fitting, tooMany] = [0, characters.length];
	while (tooMany - fitting > 1) {
		const middle = Math.floor((fitting + tooMany) / 2);
		if (fits(shortened(middle))) fitting = middle;
		else tooMany = middle;
	}
	return shortened(fitting);
}

/** Undefined where the text is not one of ours: the worker was killed before it could write, or the kubelet put logs there. */
export function parseTerminationMessage(text: string | undefined): WorkerResult | undefined {
	if (!text) return undefined;
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		return undefined;
	}
	if (typeof value !== 'object' || value === null) return undefined;
	const result = value as Record<string, unknown>;
	if (typeof result['message'] !== 'string') return undefined;
	if (result['outcome'] === 'succeeded') return result as unknown as WorkerResult;
	const known = (workerFailures as readonly unknown[]).includes(result['reason']);
	if (result['outcome'] === 'failed' && known) return result as unknown as WorkerResult;
	return undefined;
}
