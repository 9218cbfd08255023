/**
 * What to do next about one StorageProfile. Pure. Its spec is the admin's: made empty, never written again.
 *
 * A profile belongs to one StorageClass, by owner reference: it goes with its class, also where no controller runs. A class
 * that was deleted and made again under the same name gets a new profile, as CDI's documentation says. One that somebody made
 * before its class waits for that.
 */
import type {StorageClass} from '../api/kubernetes.ts';
import {annotations, cdiVersion, labels, managedByValue} from '../api/names.ts';
import type {StorageProfile} from '../api/storage-profile.ts';
import type {Observed} from './observe.ts';

export type ProfilePlan =
	| {readonly do: 'nothing'}
	| {readonly do: 'create'; readonly profile: StorageProfile}
	/** What is known of the storage, where the admin has said nothing else. */
	| {readonly do: 'recordMinimumSize'; readonly profile: StorageProfile; readonly size: string}
	| {readonly do: 'delete'; readonly profile: StorageProfile; readonly why: 'ClassGone' | 'ClassReplaced'};

const nothing: ProfilePlan = {do: 'nothing'};
const storageClassKind = 'StorageClass';

function makeProfile({metadata, apiVersion}: StorageClass, minimumSize: string | undefined): StorageProfile {
	return {
		apiVersion: cdiVersion,
		kind: 'StorageProfile',
		metadata: {
			name: metadata.name,
			labels: {
				[labels.app]: 'containerized-data-importer',
				[labels.cdiComponent]: '',
				[labels.managedBy]: managedByValue,
			},
			...(minimumSize !== undefined && {annotations: {[annotations.minimumSupportedPvcSize]: minimumSize}}),
			ownerReferences: [{apiVersion, kind: storageClassKind, name: metadata.name, uid: metadata.uid ?? ''}],
		},
		spec: {},
	};
}

function isOfAnother({metadata}: StorageProfile, storageClass: StorageClass): boolean {
	const owner = metadata.ownerReferences?.find(({kind}) => kind === storageClassKind);
	return owner !== undefined && owner.uid !== storageClass.metadata.uid;
}

/** It had a class once. */
function hadClass({metadata, status}: StorageProfile): boolean {
	const owned = metadata.ownerReferences?.some(({kind}) => kind === storageClassKind) ?? false;
	return owned || status?.storageClass !== undefined;
}

export function decide({storageClass, profile, resolved}: Observed): ProfilePlan {
	if (profile?.metadata.deletionTimestamp) return nothing;
	if (!storageClass) return profile && hadClass(profile) ? {do: 'delete', profile, why: 'ClassGone'} : nothing;
	if (!profile) return {do: 'create', profile: makeProfile(storageClass, resolved?.minimumSize)};
	if (isOfAnother(profile, storageClass)) return {do: 'delete', profile, why: 'ClassReplaced'};
	const size = resolved?.minimumSize;
	const isRecorded = profile.metadata.annotations?.[annotations.minimumSupportedPvcSize] !== undefined;
	return size !== undefined && !isRecorded ? {do: 'recordMinimumSize', profile, size} : nothing;
}
