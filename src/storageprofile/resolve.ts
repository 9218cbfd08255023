/** What a StorageProfile says of its class: the admin's word, else the class's, else what is known of the provisioner. Pure. */
import {type ConditionNews, upsertCondition} from '../api/conditions.ts';
import type {PersistentVolume, StorageClass} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import type {VolumeSnapshotClass} from '../api/snapshot.ts';
import {
	type ClaimPropertySet,
	type CloneStrategy,
	parseCloneStrategy,
	type StorageProfile,
	type StorageProfileStatus,
} from '../api/storage-profile.ts';
import {chooseSnapshotClass} from '../smartclone/snapshot-class.ts';
import {type Capabilities, capabilitiesOf, noProvisioner, parseSets} from './known-provisioners.ts';

export interface ProfileFacts {
	readonly storageClass: StorageClass;
	/** Absent until the controller has made it. */
	readonly profile: StorageProfile | undefined;
	/** Of any driver. */
	readonly snapshotClasses: readonly VolumeSnapshotClass[];
	/** Of the class. They tell what a class can do whose volumes are made by hand; for others they may be left out. */
	readonly volumes?: readonly PersistentVolume[];
}

export interface ResolvedProfile {
	/** In order of preference; empty where nobody knows. */
	readonly claimPropertySets: readonly ClaimPropertySet[];
	readonly cloneStrategy: CloneStrategy;
	readonly cronFormat: 'pvc' | 'snapshot';
	readonly snapshotClass: string | undefined;
	/** Smallest claim, as a quantity. */
	readonly minimumSize: string | undefined;
	readonly recognized: ConditionNews;
}

/** As many as the schema takes. */
const mostSets = 8;

/** Each combination once, in the order of the volumes' names. */
function setsOfVolumes(volumes: readonly PersistentVolume[]): readonly ClaimPropertySet[] {
	const sets = volumes
		.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
		.map(
			({spec}): ClaimPropertySet => ({
				accessModes: spec.accessModes ?? [],
				volumeMode: spec.volumeMode ?? 'Filesystem',
			}),
		)
		.filter(({accessModes}) => accessModes.length > 0);
	const distinct = new Map(sets.map((set) => [`${set.volumeMode} ${set.accessModes.toSorted().join(' ')}`, set]));
	return [...distinct.values()].slice(0, mostSets);
}

function recognition({provisioner}: StorageClass, known: ReturnType<typeof capabilitiesOf> | 'by volumes') {
	const type = 'Recognized';
	if (known === 'unknown provisioner') {
		const message = `Nothing is known of provisioner ${provisioner}: say in spec.claimPropertySets how claims can look`;
		return {type, status: 'False', reason: 'UnrecognizedProvisioner', message} as const;
	}
	if (known === 'unknown parameters') {
		const message = `Nothing is known of provisioner ${provisioner} with the parameters of this class: say in spec.claimPropertySets how claims can look`;
		return {type, status: 'False', reason: 'UnrecognizedStorageClassParameters', message} as const;
	}
	return {
		type,
		status: 'True',
		reason: 'RecognizedProvisioner',
		message: `Provisioner ${provisioner} is known`,
	} as const;
}

/** What somebody asks for, and nobody guessed. */
export interface StrategyWish {
	readonly strategy: CloneStrategy;
	/** In words, where it stands. */
	readonly saidBy: string;
}

/** The profile's word, else the class's. */
export function wishedStrategy(
	{metadata}: StorageClass,
	profile: StorageProfile | undefined,
): StrategyWish | undefined {
	const ofProfile = parseCloneStrategy(profile?.spec.cloneStrategy);
	if (ofProfile) return {strategy: ofProfile, saidBy: `spec.cloneStrategy of StorageProfile ${metadata.name}`};
	const ofClass = parseCloneStrategy(metadata.annotations?.[annotations.cloneStrategy]);
	return (
		ofClass && {strategy: ofClass, saidBy: `annotation ${annotations.cloneStrategy} of StorageClass ${metadata.name}`}
	);
}

/** What is advised cannot be done without a class to cut with; what is wished is shown as it is wished. */
function strategyOf(
	{storageClass, profile}: ProfileFacts,
	known: Capabilities | undefined,
	snapshotClass: string | undefined,
): CloneStrategy {
	const advised = known?.strategy ?? 'snapshot';
	const possible = advised === 'snapshot' && snapshotClass === undefined ? 'copy' : advised;
	return wishedStrategy(storageClass, profile)?.strategy ?? possible;
}

export function resolveProfile(facts: ProfileFacts): ResolvedProfile {
	const {storageClass, profile, snapshotClasses, volumes = []} = facts;
	const {provisioner, parameters} = storageClass;
	const found = capabilitiesOf(provisioner, parameters);
	const known = typeof found === 'string' ? undefined : found;
	const byHand = provisioner === noProvisioner ? setsOfVolumes(volumes) : [];
	const snapshotClass = chooseSnapshotClass(snapshotClasses, provisioner, profile?.spec.snapshotClass)?.metadata.name;
	const given = profile?.spec.claimPropertySets ?? [];
	const sets = known ? parseSets(known.sets) : byHand;
	const format = profile?.spec.dataImportCronSourceFormat ?? known?.cronFormat;
	return {
		claimPropertySets: given.length > 0 ? given : sets,
		cloneStrategy: strategyOf(facts, known, snapshotClass),
		cronFormat: format === 'snapshot' && snapshotClass !== undefined ? 'snapshot' : 'pvc',
		snapshotClass,
		minimumSize: profile?.metadata.annotations?.[annotations.minimumSupportedPvcSize] ?? known?.minimumSize,
		recognized: recognition(storageClass, byHand.length > 0 ? 'by volumes' : found),
	};
}

/** @param now RFC 3339 */
export function profileStatus(
	{storageClass, profile}: Pick<ProfileFacts, 'storageClass' | 'profile'>,
	resolved: ResolvedProfile,
	now: string,
): StorageProfileStatus {
	const {claimPropertySets, cloneStrategy, cronFormat, snapshotClass, recognized} = resolved;
	return {
		storageClass: storageClass.metadata.name,
		provisioner: storageClass.provisioner,
		...(claimPropertySets.length > 0 && {claimPropertySets}),
		cloneStrategy,
		dataImportCronSourceFormat: cronFormat,
		...(snapshotClass !== undefined && {snapshotClass}),
		conditions: upsertCondition(profile?.status?.conditions ?? [], recognized, now),
	};
}
