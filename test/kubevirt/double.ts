/** What the loops of the double share. */
import {isDeepStrictEqual} from 'node:util';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeObject, PersistentVolumeClaim} from '../../src/api/kubernetes.ts';
import type {Caches} from '../../src/kube/caches.ts';
import type {KubeApi} from '../../src/kube/client.ts';
import type {KubeEventRecorder} from '../../src/kube/events.ts';
import {compareResourceVersions} from '../../src/kube/resource-version.ts';
import * as resources from '../../src/kube/resources.ts';
import type {Clock} from '../../src/process/clock.ts';
import type {Logger} from '../../src/process/log.ts';
import {dataVolumes} from './api.ts';

export interface Double {
	/** As virt-controller's service account. */
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly events: KubeEventRecorder;
	readonly log: Logger;
	readonly clock: Clock;
	/** Times every pause of KubeVirt's. */
	readonly pace: number;
	/** With a shell and coreutils. */
	readonly launcherImage: string;
	/** What was done for which object, for whoever wonders why a test fails. */
	readonly note: (about: KubeObject, words: string) => void;
}

/**
 * What was written last, so that nothing is decided from an object that is older than that: its own status, for one, would be
 * read as it was before. The watch brings the newer one.
 */
export class Written {
	readonly #versions = new Map<string, string>();

	note(object: KubeObject): void {
		const {uid = '', resourceVersion = ''} = object.metadata;
		this.#versions.set(uid, resourceVersion);
	}

	isNewerThan({metadata: {uid = '', resourceVersion = ''}}: KubeObject): boolean {
		const written = this.#versions.get(uid);
		return written !== undefined && compareResourceVersions(written, resourceVersion) > 0;
	}
}

/** After an error. KubeVirt's begins at milliseconds and ends at minutes. */
export const retryBackoff = {baseMs: 200, maxMs: 5000};

export const findDataVolume =
	({caches}: Double, namespace: string | undefined) =>
	(name: string): DataVolume | undefined =>
		caches.store(dataVolumes).get(namespace, name);

export const findClaim =
	({caches}: Double, namespace: string | undefined) =>
	(name: string): PersistentVolumeClaim | undefined =>
		caches.store(resources.persistentVolumeClaims).get(namespace, name);

export const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Of JSON values: whether a write would change anything. */
export const isSame = (one: unknown, other: unknown) => isDeepStrictEqual(one, other);

/** What went wrong is told where somebody looks for it, and then handled as ever. */
export async function noting<T>({note}: Double, about: KubeObject | undefined, work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (error) {
		if (about) note(about, `failed: ${wordsOf(error)}`);
		throw error;
	}
}
