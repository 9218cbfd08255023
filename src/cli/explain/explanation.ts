/** All that one look tells of a DataVolume. Pure. */
import {findCondition} from '../../api/conditions.ts';
import type {PersistentVolume, PersistentVolumeClaim} from '../../api/kubernetes.ts';
import {annotations} from '../../api/names.ts';
import {isRenderProblem} from '../../datavolume/render.ts';
import * as resources from '../../kube/resources.ts';
import {volumeOf} from '../../kube/volume-of.ts';
import {podsByTarget} from '../../populate/observe.ts';
import {age, shownSize} from '../printed.ts';
import {shownUrl} from '../shown-url.ts';
import {askedSizeOf} from '../state.ts';
import type {Sight, Unread} from './look.ts';
import {type Step, stepsOf} from './steps.ts';
import {type Waiting, waitingOf} from './waiting.ts';
import {ruleOf, type WayTold, waysOf} from './ways.ts';

export interface Fact {
	readonly name: string;
	readonly text: string;
}

/** What `-o json` prints. */
export interface Explanation {
	readonly namespace: string;
	readonly name: string;
	readonly phase: string;
	/** One sentence. */
	readonly summary: string;
	readonly facts: readonly Fact[];
	/** Absent where it waits for nothing. */
	readonly waiting?: Waiting;
	/** Best first; empty where it is no clone, or where nothing is known. */
	readonly ways: readonly WayTold[];
	readonly steps: readonly Step[];
	/** Not told for want of rights. */
	readonly unread: readonly Unread[];
}

function describeClaim(claim: PersistentVolumeClaim, volume?: PersistentVolume): string {
	const {spec, status} = claim;
	const size = status?.capacity?.['storage'] ?? spec.resources?.requests?.['storage'] ?? '?';
	const driver = volume?.spec.csi?.driver;
	return [
		`${shownSize(size)} ${spec.volumeMode ?? 'Filesystem'}`,
		...(spec.storageClassName ? [`storage class ${spec.storageClassName}`] : []),
		...(driver ? [`driver ${driver}`] : []),
		status?.phase ?? 'Pending',
	].join(', ');
}

function sourceText({dataVolume, caches, observed, isJudged}: Sight): string {
	const {source, sourceRef} = dataVolume.spec;
	const {origin} = observed.clone ?? {};
	const through = sourceRef
		? `${sourceRef.kind} ${sourceRef.namespace ?? dataVolume.metadata.namespace}/${sourceRef.name}`
		: '';
	if (!origin) {
		if (through) return through;
		if (source?.http) return shownUrl(source.http.url);
		return source?.blank
			? 'none: an empty disk'
			: (Object.keys(source ?? {})[0] ?? 'what its claim names as dataSource');
	}
	const {kind, namespace, name} = origin;
	const what = `${through && `${through}, which is `}${kind === 'VolumeSnapshot' ? 'snapshot' : 'claim'} ${namespace}/${name}`;
	const missing = isJudged ? `${what}, which does not exist` : what;
	if (kind === 'VolumeSnapshot') {
		const snapshot = caches.store(resources.volumeSnapshots).get(namespace, name);
		if (!snapshot) return missing;
		const {restoreSize, readyToUse} = snapshot.status ?? {};
		return `${what}: ${restoreSize ?? 'of unknown size'}, ${readyToUse ? 'ready to use' : 'not ready'}`;
	}
	const claim = caches.store(resources.persistentVolumeClaims).get(namespace, name);
	return claim ? `${what}: ${describeClaim(claim, volumeOf(caches, claim))}` : missing;
}

function diskText({dataVolume, observed, isJudged}: Sight): string {
	const {claim, volume, rendered} = observed;
	if (claim) return `claim ${claim.metadata.name}: ${describeClaim(claim, volume)}`;
	if (!isJudged || isRenderProblem(rendered)) return `${askedSizeOf(dataVolume)}, no claim is there`;
	const {spec, storageClass} = rendered;
	const size = shownSize(spec.resources?.requests?.['storage'] ?? '?');
	return `no claim yet; to be ${size} ${spec.volumeMode}, storage class ${storageClass.metadata.name} (${storageClass.provisioner}, ${storageClass.volumeBindingMode ?? 'Immediate'})`;
}

/** The shared snapshot, as its object tells, or only its name. */
function snapshotText({dataVolume, observed, caches}: Sight): string | undefined {
	const {shared} = observed.clone ?? {};
	const [name] = (dataVolume.metadata.annotations?.[annotations.sharedSnapshot] ?? '').split('/', 1);
	if (!shared) return name ? `${name}, which is gone or cannot be read` : undefined;
	const cut = caches
		.store(resources.volumeSnapshots)
		.list(shared.spec.source.namespace)
		.find(({metadata}) => shared.status?.stripes?.some(({snapshotUid}) => snapshotUid === metadata.uid));
	const cutMs = Date.parse(cut?.metadata.creationTimestamp ?? '');
	const beforeMs = Date.parse(dataVolume.metadata.creationTimestamp ?? '') - cutMs;
	const when = Number.isNaN(beforeMs)
		? ''
		: beforeMs > 0
			? `, cut ${age(beforeMs)} before this clone was asked for`
			: ', cut after this clone was asked for';
	return `${shared.metadata.name}, ${shared.status?.state ?? 'new'}${when}`;
}

function workerText({caches, dataVolume}: Sight): string | undefined {
	const {namespace, name} = dataVolume.metadata;
	const pods = caches.store(resources.pods).byIndex(podsByTarget.name, `${namespace}/${name}`);
	const told = pods.map(({metadata, spec, status}) => {
		const where = spec.nodeName ? ` on node ${spec.nodeName}` : '';
		const restarts = status?.containerStatuses?.[0]?.restartCount ?? 0;
		const tries = restarts > 0 ? `, ${restarts} restarts` : '';
		return `Pod ${metadata.namespace}/${metadata.name} is ${status?.phase ?? 'new'}${where}${tries}`;
	});
	return told.length > 0 ? told.join('; ') : undefined;
}

function summaryOf({dataVolume, nowMs}: Sight): string {
	const {metadata, status} = dataVolume;
	const phase = status?.phase || 'no phase yet';
	const beganMs = Date.parse(metadata.creationTimestamp ?? '');
	const ready = findCondition(status?.conditions, 'Ready');
	const percent = status?.progress && /\d/.test(status.progress) ? `, ${status.progress} done` : '';
	if (phase !== 'Succeeded') return `${phase}${percent}, asked for ${age(nowMs - beganMs)} ago`;
	const endedMs = Date.parse(ready?.status === 'True' ? (ready.lastTransitionTime ?? '') : '');
	return Number.isNaN(endedMs) ? phase : `${phase}, ready ${age(endedMs - beganMs)} after it was asked for`;
}

export function explain(sight: Sight): Explanation {
	const {dataVolume, unread} = sight;
	const {namespace = '', name} = dataVolume.metadata;
	const rule = ruleOf(sight);
	const waiting = waitingOf(sight);
	const facts: readonly (readonly [string, string | undefined])[] = [
		['Source', sourceText(sight)],
		['Disk', diskText(sight)],
		['Snapshot', snapshotText(sight)],
		['Reuse', rule && `rule ${rule.number}, ${rule.rule}: ${rule.words}`],
		['Worker', workerText(sight)],
	];
	return {
		namespace,
		name,
		phase: dataVolume.status?.phase ?? '',
		summary: summaryOf(sight),
		facts: facts.flatMap(([fact, text]) => (text === undefined ? [] : [{name: fact, text}])),
		...(waiting && {waiting}),
		ways: waysOf(sight),
		steps: stepsOf(sight),
		unread,
	};
}
