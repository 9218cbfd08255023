/** What is written and told of a clone, and when. The API server is the smallest that can be written to. */
import {beforeEach, describe, expect, test} from 'vitest';
import {claim, dataVolume} from '../../test/support/builders.ts';
import type {DataVolume} from '../api/datavolume.ts';
import {annotations} from '../api/names.ts';
import type {KubeObject} from '../api/kubernetes.ts';
import type {EventText} from '../kube/events.ts';
import {observedClone, observedDataVolume} from '../../test/support/observed.ts';
import {ManualClock} from '../process/manual-clock.ts';
import type {DataVolumePlan} from './decide.ts';
import type {Observed} from './observe.ts';
import {firstReportMs, nextReportMs, slowMs, spacingMs, StatusReports} from './report.ts';
import type {Outcome} from './status.ts';

const golden = {pvc: {namespace: 'images', name: 'golden'}};
const cloning = dataVolume({
	source: golden,
	annotations: {[annotations.sharedSnapshot]: 'shared-1/uid', [annotations.reuseRule]: 'GroupCommit'},
});
const clone = observedClone();

let clock: ManualClock;
/** As the server has it; a test decides when the cache shows it. */
let stored: DataVolume;
let cached: DataVolume;
let writes: string[];
let told: string[];
let reports: StatusReports;

beforeEach(() => {
	clock = new ManualClock();
	stored = cloning;
	cached = cloning;
	writes = [];
	told = [];
	reports = new StatusReports({
		clock,
		onWritten: (_, {phase}) => writes.push(phase ?? ''),
		events: {record: (_: KubeObject, {type, reason}: EventText) => told.push(`${type} ${reason}`)},
		api: {
			mergePatchStatus: <T extends KubeObject>(_resource: unknown, _key: unknown, patch: object) => {
				const resourceVersion = String(Number(stored.metadata.resourceVersion) + 1);
				stored = {...stored, ...patch, metadata: {...stored.metadata, resourceVersion}};
				// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only DataVolumes are written here
				return Promise.resolve(stored as unknown as T);
			},
		},
	});
});

const observed = (given: Partial<Observed> = {}) =>
	observedDataVolume(cached, {now: new Date(clock.now()).toISOString(), clone, ...given});

const cutting: DataVolumePlan = {do: 'wait', reason: 'SnapshotNotReady', message: 'Waiting for the snapshot'};
const restoring: DataVolumePlan = {do: 'wait', reason: 'Restoring', message: 'is being restored'};
const pending = {claim: claim({name: 'disk', phase: 'Pending', owner: cloning})};
const done = {
	claim: claim({name: 'disk', phase: 'Bound', owner: cloning, annotations: {[annotations.cloneType]: 'snapshot'}}),
};

function report(plan: DataVolumePlan, given: Partial<Observed> = {}, outcome: Outcome = {}) {
	return reports.report(observed(given), plan, outcome, AbortSignal.timeout(10_000));
}

/** Comes again when it asks to, until nothing is left to say; the cache shows what was written. */
async function lasts(durationMs: number, plan: DataVolumePlan, given: Partial<Observed> = {}, outcome: Outcome = {}) {
	const endMs = clock.monotonicMs() + durationMs;
	while (clock.monotonicMs() < endMs) {
		cached = stored;
		const againMs = (await report(plan, given, outcome)) ?? durationMs;
		await clock.advance(Math.min(againMs, endMs - clock.monotonicMs()));
	}
}

describe('of a clone', () => {
	test('that is made within a moment, one status and one event, which says the way', async () => {
		const messages: string[] = [];
		await lasts(500, cutting);
		await lasts(500, restoring, pending);
		reports = new StatusReports({
			clock,
			onWritten: (_, {phase}) => writes.push(phase ?? ''),
			events: {record: (_, {reason, message}) => messages.push(`${reason}: ${message}`)},
			api: {mergePatchStatus: (_resource, key) => Promise.resolve({...stored, ...key} as never)},
		});
		await report({do: 'nothing'}, done);
		expect(writes).toEqual(['Succeeded']);
		expect(messages).toEqual([
			'CloneSucceeded: Successfully cloned from images/golden into ns/disk: restored from shared snapshot shared-1 (GroupCommit)',
		]);
	});

	test('that takes long, each phase that lasts, in their order', async () => {
		await lasts(firstReportMs + 1, cutting);
		expect(stored.status?.phase).toBe('SnapshotForSmartCloneInProgress');
		await lasts(nextReportMs + 1, restoring, pending);
		expect(stored.status?.phase).toBe('CloneFromSnapshotSourceInProgress');
		await lasts(1, {do: 'nothing'}, done);
		expect(writes).toEqual(['SnapshotForSmartCloneInProgress', 'CloneFromSnapshotSourceInProgress', 'Succeeded']);
		expect(told).toEqual(['Normal CloneSucceeded']);
	});

	test('a phase that lasts too long is an event, once', async () => {
		await lasts(3 * slowMs, cutting);
		expect(told).toEqual(['Normal SnapshotForSmartCloneInProgress']);
		await lasts(3 * slowMs, restoring, pending);
		expect(told).toEqual(['Normal SnapshotForSmartCloneInProgress', 'Normal CloneFromSnapshotSourceInProgress']);
		expect(writes).toEqual(['SnapshotForSmartCloneInProgress', 'CloneFromSnapshotSourceInProgress']);
	});

	test('to wait in line is in the status, and no event however long it takes', async () => {
		const inLine: DataVolumePlan = {
			do: 'restoreClaim',
			claim: claim(),
			pace: {start: 8, most: 32},
			decision: {way: 'snapshot', route: 'restore', declined: []},
		};
		await lasts(10 * slowMs, inLine, {}, {paced: true});
		expect(writes).toEqual(['CloneFromSnapshotSourceInProgress']);
		expect(stored.status?.conditions).toContainEqual(
			expect.objectContaining({type: 'Bound', status: 'False', reason: 'RestoreWindowFull'}),
		);
		expect(told).toEqual([]);
	});

	test('what a person has to mend is written and told at once', async () => {
		await report({do: 'wait', reason: 'CloneWithoutSource', message: 'There is no source'});
		expect(writes).toEqual(['Pending']);
		expect(told).toEqual(['Warning CloneWithoutSource']);
		cached = stored;
		await report(restoring, pending, {quota: 'exceeded quota'});
		expect(writes).toEqual(['Pending', 'CloneFromSnapshotSourceInProgress']);
		expect(told).toEqual(['Warning CloneWithoutSource', 'Warning ErrExceededQuota']);
	});

	test('a failure is written at once, and at once again when it is over', async () => {
		await report({do: 'refuse', reason: 'Invalid', message: 'no'});
		cached = stored;
		await report({do: 'nothing'}, done);
		expect(writes).toEqual(['Failed', 'Succeeded']);
	});

	test('a phase that somebody waits for is written at once', async () => {
		await report({do: 'wait', reason: 'FirstConsumer', message: 'waits'}, pending);
		expect(writes).toEqual(['PendingPopulation']);
		expect(told).toEqual(['Normal PendingPopulation']);
	});
});

test('many clones at once write their phases in between one after the other, and what is final at once', async () => {
	const many = Array.from({length: 20}, (_, index) => dataVolume({name: `disk-${index}`, source: golden}));
	const written = new Map<string, number>();
	const slow = new StatusReports({
		clock,
		onWritten: ({metadata}) => written.set(metadata.name, clock.monotonicMs()),
		events: {record: () => undefined},
		api: {mergePatchStatus: (_resource, _key, patch) => Promise.resolve(patch as never)},
	});
	const comeAgain = async (of: DataVolume): Promise<void> => {
		if (written.has(of.metadata.name)) return;
		const againMs = await slow.report(observed({dataVolume: of}), cutting, {}, AbortSignal.timeout(10_000));
		if (againMs !== undefined) clock.after(againMs, () => void comeAgain(of));
	};
	for (const of of many) await comeAgain(of);
	await clock.advance(firstReportMs + 10 * spacingMs);
	const [last] = many.slice(-1);
	expect(written.has(last?.metadata.name ?? '')).toBe(false);
	await slow.report(observed({dataVolume: last, ...done}), {do: 'nothing'}, {}, AbortSignal.timeout(10_000));
	expect(written.has(last?.metadata.name ?? '')).toBe(true);
	await clock.advance(20 * spacingMs);
	expect(written.size).toBe(many.length);
	const times = [...written.values()].toSorted((a, b) => a - b);
	expect(times.filter((at) => at < firstReportMs)).toEqual([]);
	for (let index = 0; index + 6 < times.length; index++) {
		expect((times[index + 6] ?? 0) - (times[index] ?? 0)).toBeGreaterThanOrEqual(5 * spacingMs);
	}
});

test('an import has each of its phases written as it comes', async () => {
	const importing = dataVolume({source: {http: {url: 'http://example.com/x'}}});
	cached = importing;
	stored = importing;
	await report({do: 'nothing'}, {clone: undefined});
	expect(writes).toEqual(['Pending']);
});

test('a cache that is late makes nothing be written twice', async () => {
	await report({do: 'nothing'}, done);
	await clock.advance(5000);
	await report({do: 'nothing'}, done);
	expect(writes).toEqual(['Succeeded']);
	expect(told).toEqual(['Normal CloneSucceeded']);
	cached = {...stored, status: {}, metadata: {...stored.metadata, resourceVersion: '99'}};
	await report({do: 'nothing'}, done);
	expect(writes).toEqual(['Succeeded', 'Succeeded']);
});
