import {expect, test} from 'vitest';
import {sharedSnapshot} from '../../test/support/builders.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import {ManualClock} from '../process/manual-clock.ts';
import {StatusPace} from './status-pace.ts';

type Status = NonNullable<SharedSnapshot['status']>;

const current = (clonesInFlight: number): Status => ({
	state: 'Current',
	stripes: [],
	clonesServed: 10 - clonesInFlight,
	clonesInFlight,
	message: `${clonesInFlight} clones are being made`,
});
const withStatus = (status?: Status): SharedSnapshot => ({...sharedSnapshot(), ...(status && {status})});

test('the first status, and each change of state, is written at once', () => {
	const pace = new StatusPace(new ManualClock());
	const cutting: Status = {...current(10), state: 'Cutting'};
	expect(pace.waitMs(withStatus(), cutting)).toBe(0);
	expect(pace.waitMs(withStatus(cutting), current(10))).toBe(0);
	expect(pace.waitMs(withStatus(current(10)), {...current(10), state: 'Dead'})).toBe(0);
	expect(pace.waitMs(withStatus(current(10)), {...current(10), reuse: 'DeclaredImmutable'})).toBe(0);
	expect(pace.waitMs(withStatus(current(10)), {...current(10), stripes: [{snapshotName: 's', readyToUse: true}]})).toBe(
		0,
	);
});

test('counts wait, and the last ones are written', async () => {
	const clock = new ManualClock();
	const pace = new StatusPace(clock);
	expect(pace.waitMs(withStatus(), current(10))).toBe(0);
	let waitMs = 0;
	for (let inFlight = 9; inFlight > 0; inFlight--) {
		await clock.advance(100);
		waitMs = pace.waitMs(withStatus(current(10)), current(inFlight));
		expect(waitMs).toBeGreaterThan(0);
	}
	await clock.advance(waitMs);
	expect(pace.waitMs(withStatus(current(10)), current(0))).toBe(0);
	expect(pace.waitMs(withStatus(current(0)), current(1))).toBeGreaterThan(0);
});

test('what is there already has nothing to wait for, and one that went is forgotten', () => {
	const pace = new StatusPace(new ManualClock());
	expect(pace.waitMs(withStatus(), current(1))).toBe(0);
	expect(pace.waitMs(withStatus(current(1)), current(1))).toBe(0);
	expect(pace.waitMs(withStatus(current(1)), current(0))).toBeGreaterThan(0);
	pace.forget(withStatus().metadata.uid ?? '');
	expect(pace.waitMs(withStatus(current(1)), current(0))).toBe(0);
});
