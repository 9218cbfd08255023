/** What looking for the size of one claim's disk depends on. */
import {rememberedDiskBytes} from '../api/disk-size.ts';
import type {PersistentVolume, PersistentVolumeClaim, Pod} from '../api/kubernetes.ts';
import {sizeDetectionPodName} from '../api/names.ts';
import type {Caches} from '../kube/caches.ts';
import {makeKey} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import {volumeOf} from '../kube/volume-of.ts';
import {podsByClaim} from '../smartclone/writers.ts';
import type {DiskSizeRequests} from './requests.ts';

export interface Observed {
	/** Milliseconds since 1970. */
	readonly nowMs: number;
	/** Whose disk it is; undefined where it is gone. */
	readonly claim: PersistentVolumeClaim | undefined;
	readonly volume: PersistentVolume | undefined;
	/** The one that looks, or has looked. */
	readonly pod: Pod | undefined;
	/** Where a Pod uses the claim now. */
	readonly usedOn: string | undefined;
	/** Somebody asks. */
	readonly isWanted: boolean;
	readonly isKnown: boolean;
}

/** The Pod that looks into this claim. */
export function sizePodOf(caches: Caches, {metadata}: PersistentVolumeClaim): Pod | undefined {
	return caches.store(resources.pods).get(metadata.namespace, sizeDetectionPodName(metadata.uid ?? ''));
}

function nodeOfUser(caches: Caches, {metadata}: PersistentVolumeClaim, except: Pod | undefined): string | undefined {
	return caches
		.store(resources.pods)
		.byIndex(podsByClaim.name, makeKey(metadata.namespace, metadata.name))
		.find(
			({metadata: {uid}, spec, status}) =>
				uid !== except?.metadata.uid &&
				spec.nodeName !== undefined &&
				status?.phase !== 'Succeeded' &&
				status?.phase !== 'Failed',
		)?.spec.nodeName;
}

export interface ObserveContext {
	readonly caches: Caches;
	readonly requests: Pick<DiskSizeRequests, 'has'>;
	readonly nowMs: number;
}

export function observe(key: string, {caches, requests, nowMs}: ObserveContext): Observed {
	const [namespace = '', name = ''] = key.split('/', 2);
	const claim = caches.store(resources.persistentVolumeClaims).get(namespace, name);
	const pod = claim && sizePodOf(caches, claim);
	return {
		nowMs,
		claim,
		volume: volumeOf(caches, claim),
		pod,
		usedOn: claim && nodeOfUser(caches, claim, pod),
		isWanted: requests.has(key),
		isKnown: claim !== undefined && rememberedDiskBytes(claim) !== undefined,
	};
}
