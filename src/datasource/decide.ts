/**
 * What a DataSource says of itself: what it comes to, whether that can be cloned, and the labels that KubeVirt infers
 * instance types from. Pure. All of it is one write, so that nobody sees Ready without the source that is ready.
 */
import {type ConditionNews, findCondition, upsertCondition} from '../api/conditions.ts';
import type {DataSource, DataSourceSource, DataSourceStatus} from '../api/data-source.ts';
import type {Observed} from './observe.ts';
import {type CloneableSource, isResolveProblem} from './resolve.ts';

export type Labels = Readonly<Record<string, string>>;

export type DataSourcePlan =
	| {readonly do: 'nothing'}
	| {
			readonly do: 'report';
			readonly dataSource: DataSource;
			readonly status: DataSourceStatus;
			/** To be added or changed; others stay as they are. */
			readonly labels: Labels;
	  };

type ReadyNews = Omit<ConditionNews, 'type'>;

const ready: ReadyNews = {status: 'True', reason: 'Ready', message: 'DataSource is ready to be consumed'};
const notReady = (reason: string, message: string): ReadyNews => ({status: 'False', reason, message});

/** CDI's words, as its clients compare them. */
function readiness({resolution, claim, dataVolume, snapshot}: Observed): ReadyNews {
	if (!resolution) return notReady('NoSource', 'No source PVC set');
	if (isResolveProblem(resolution)) return notReady(resolution.reason, resolution.message);
	if (resolution.kind === 'snapshot') {
		if (!snapshot || snapshot.metadata.deletionTimestamp) return notReady('NotFound', 'Snapshot not found');
		return snapshot.status?.readyToUse === true ? ready : notReady('SnapshotNotReady', 'Snapshot is not ready to use');
	}
	const phase = dataVolume && (dataVolume.status?.phase || 'Pending');
	if (phase !== undefined && phase !== 'Succeeded') return notReady(phase, `Import DataVolume phase ${phase}`);
	return claim && !claim.metadata.deletionTimestamp ? ready : notReady('NotFound', 'PVC not found');
}

/** `kubevirt.io/…` and `….kubevirt.io/…` */
function isKubeVirts(label: string): boolean {
	const [prefix = '', name] = label.split('/', 2);
	return name !== undefined && (prefix === 'kubevirt.io' || prefix.endsWith('.kubevirt.io'));
}

/**
 * The source's labels, for those who look at the DataSource only (virt-api may not read snapshots). A source that is newly
 * ready brings its own; later what somebody changed on the DataSource stays, and what is missing is added.
 */
function labelsFor({claim, dataVolume, snapshot}: Observed, dataSource: DataSource, isNew: boolean): Labels {
	const given = {...dataVolume?.metadata.labels, ...claim?.metadata.labels, ...snapshot?.metadata.labels};
	const has = dataSource.metadata.labels ?? {};
	return Object.fromEntries(
		Object.entries(given).filter(
			([label, value]) => isKubeVirts(label) && has[label] !== value && (isNew || has[label] === undefined),
		),
	);
}

function asSource(resolved: CloneableSource): DataSourceSource {
	return resolved.kind === 'pvc' ? {pvc: resolved.pvc} : {snapshot: resolved.snapshot};
}

function isSame(a: DataSourceSource | undefined, b: DataSourceSource | undefined): boolean {
	const text = ({pvc, snapshot, dataSource}: DataSourceSource = {}) =>
		[pvc, snapshot, dataSource].map((each) => `${each?.namespace}/${each?.name}`).join();
	return text(a) === text(b);
}

export function decide(observed: Observed): DataSourcePlan {
	const {dataSource, resolution, now} = observed;
	if (!dataSource || !resolution || dataSource.metadata.deletionTimestamp) return {do: 'nothing'};
	const before = dataSource.status ?? {};
	const source = isResolveProblem(resolution) ? undefined : asSource(resolution);
	const news = readiness(observed);
	const conditions = upsertCondition(before.conditions ?? [], {type: 'Ready', ...news}, now);
	const isSameSource = isSame(before.source, source);
	const wasReady = findCondition(before.conditions, 'Ready')?.status === 'True';
	const labels = news.status === 'True' ? labelsFor(observed, dataSource, !wasReady || !isSameSource) : {};
	if (isSameSource && conditions === before.conditions && Object.keys(labels).length === 0) return {do: 'nothing'};
	return {do: 'report', dataSource, status: {...(source && {source}), conditions}, labels};
}
