/** Every event of this controller, on the SharedSnapshot: its story in `kubectl describe shs`. */
import type {EventText} from '../kube/events.ts';
import type {NewAlias} from './aliases.ts';
import type {RetireReason, SharingPlan} from './decide.ts';

const retirement: Readonly<Record<RetireReason, string>> = {
	SourceGone: 'The source claim is gone',
	ContentChanged: 'The source claim has other content now (grown, or on another volume)',
	Superseded: 'A newer snapshot of the same content serves from now on',
	Idle: 'No clone was asked for in a long time',
	NobodyNeedsIt: 'Its clones are made, and the source may change: a later clone gets a new snapshot',
	SnapshotLost: 'Its VolumeSnapshot was deleted or lost in the storage',
	NothingAssigned: 'No clone waits for it',
};

const mostNames = 5;

function namespacesOf(aliases: readonly NewAlias[]): string {
	const names = [...new Set(aliases.map(({place}) => place.namespace))];
	if (names.length === 1) return `namespace ${names[0]}`;
	const more = names.length > mostNames ? ` and ${names.length - mostNames} more` : '';
	return `namespaces ${names.slice(0, mostNames).join(', ')}${more}`;
}

/** Undefined where the step is of no interest to people. */
export function eventOf(plan: SharingPlan): EventText | undefined {
	switch (plan.do) {
		case 'close':
			return {type: 'Normal', reason: 'Cutting', message: 'No more clone requests are collected; the snapshot is cut'};
		case 'retire':
			return {
				type: plan.reason === 'SnapshotLost' ? 'Warning' : 'Normal',
				reason: plan.reason,
				message: `${retirement[plan.reason]}; it is deleted when no clone needs it`,
			};
		case 'protect':
			if (plan.content.spec.source.volumeHandle === undefined)
				return {
					type: 'Warning',
					reason: 'AliasProtected',
					message: `Somebody gave VolumeSnapshotContent ${plan.content.metadata.name} policy Delete, which would delete the snapshot for all clones; it has Retain again`,
				};
			return {
				type: 'Normal',
				reason: 'SnapshotCut',
				message: 'The storage has cut it; it is protected from deletion while clones need it',
			};
		case 'createAliases':
			return {
				type: 'Normal',
				reason: 'AliasCreated',
				message: `Made available in ${namespacesOf(plan.aliases)} for the clones there`,
			};
		case 'assign':
			return {
				type: 'Normal',
				reason: 'ClonesAssigned',
				message: `${plan.requests.length} clone requests assigned (${plan.rule})`,
			};
		case 'open':
		case 'cut':
		case 'passBarrier':
		case 'unprotect':
		case 'wakeSidecar':
		case 'removeAliases':
		case 'deleteSnapshot':
		case 'deleteContent':
		case 'releaseSnapshot':
		case 'release':
		case 'nothing':
			return undefined;
		default:
			return plan satisfies never;
	}
}
