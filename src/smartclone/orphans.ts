/**
 * Stripes and aliases whose SharedSnapshot is gone: of a write that was still on its way then (its answer was lost, or its
 * sender was a leader before this one), or of a SharedSnapshot whose finalizer somebody took off. Taken down in the order in
 * which those of a retired one are. Pure.
 */
import {mostStripes, onesnapVersion, stripeNumber} from '../api/names.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {Caches} from '../kube/caches.ts';
import * as resources from '../kube/resources.ts';
import {type AliasPlan, tendAliases} from './aliases.ts';
import {drain, type DrainPlan} from './drain.ts';
import {aliasesOf, contentByShared, type ObservedShared, snapshotByShared, stripesOf, straysOf} from './observe.ts';

/** What is left of the SharedSnapshot of this UID, as one that is draining; undefined where nothing is. */
export function observeOrphans(caches: Caches, uid: string): ObservedShared | undefined {
	// By name as well: whoever copies one of ours for himself copies its labels along.
	const snapshots = caches
		.store(resources.volumeSnapshots)
		.byIndex(snapshotByShared.name, uid)
		.filter(({metadata}) => stripeNumber(uid, metadata.name) !== undefined);
	const contents = caches
		.store(resources.volumeSnapshotContents)
		.byIndex(contentByShared.name, uid)
		.filter(({spec}) => stripeNumber(uid, spec.volumeSnapshotRef.name ?? '') !== undefined);
	if (snapshots.length + contents.length === 0) return undefined;
	const original = snapshots.find(({spec}) => spec.source.persistentVolumeClaimName !== undefined);
	const originalContent = contents.find(({spec}) => spec.source.volumeHandle !== undefined);
	const object: SharedSnapshot = {
		apiVersion: onesnapVersion,
		kind: 'SharedSnapshot',
		metadata: {name: uid, uid},
		spec: {
			content: {
				driver: originalContent?.spec.driver ?? '',
				volumeHandle: originalContent?.spec.source.volumeHandle ?? '',
				persistentVolumeUid: '',
				claimUid: '',
				volumeMode: 'Block',
				capacity: '0',
			},
			source: {
				namespace: original?.metadata.namespace ?? originalContent?.spec.volumeSnapshotRef.namespace ?? '',
				name: original?.spec.source.persistentVolumeClaimName ?? '',
			},
			volumeSnapshotClassName: '',
			stripes: mostStripes,
			closed: true,
			declaredImmutable: false,
		},
	};
	return {
		object,
		life: 'Draining',
		stripes: stripesOf(caches, object),
		aliases: aliasesOf(caches, object),
		strays: straysOf(caches, object),
		requests: [],
		lost: undefined,
		undisturbed: false,
		idleMs: 0,
		dependents: 0,
	};
}

/** Undefined where others have to act first. */
export function removeOrphans(orphans: ObservedShared): AliasPlan | DrainPlan | undefined {
	return tendAliases(orphans, new Set()) ?? drain(orphans);
}
