/** Tells a story once, with the controller killed on the way or not, and says how it ended. */
import {setTimeout as sleep} from 'node:timers/promises';
import {isDeepStrictEqual} from 'node:util';
import {until} from '../cluster/until.ts';
import {auditLeaks} from '../support/leak-audit.ts';
import {cutsBySource, readJournals} from '../support/storage-journal.ts';
import type {CrashPoint} from './crash-point.ts';
import type {ControllerHost, SupervisedController} from './host-controller.ts';
import {differences, normalForm} from './normal-form.ts';
import type {Story} from './scenarios.ts';
import {type CrashWorld, everything} from './world.ts';

/** An end that does not change for so long is taken for the end. Only the runs that the others are compared with wait for it. */
const quietMs = 3000;
const convergeMs = 180_000;
/** Nearly always seconds. external-provisioner sweeps a finalizer that it forgot after five minutes. */
const forgetMs = 360_000;

export interface Ending {
	readonly killed: boolean;
	readonly writes: readonly string[];
	/** Of the objects, in normal form. */
	readonly objects: readonly string[];
	/** What is not as it should be, in words. Empty is what should be. */
	readonly wrong: readonly string[];
	readonly seconds: number;
}

export interface Telling {
	readonly world: CrashWorld;
	readonly host: ControllerHost;
	readonly story: Story;
	/** Of the log. */
	readonly name: string;
	readonly point?: CrashPoint;
	/** The objects that an undisturbed run ended with. */
	readonly expected?: readonly string[];
}

const words = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** What both ends must agree in: read until it is so, or until it is quiet where nothing is known yet. */
async function settle(world: CrashWorld, expected: readonly string[] | undefined): Promise<readonly string[]> {
	const deadline = Date.now() + convergeMs;
	let seen: readonly string[] = [];
	let sinceMs = Date.now();
	for (;;) {
		const now = normalForm(await everything(world));
		if (!isDeepStrictEqual(now, seen)) sinceMs = Date.now();
		seen = now;
		const isEnd = expected ? isDeepStrictEqual(now, expected) : Date.now() - sinceMs >= quietMs;
		if (isEnd || Date.now() > deadline) return seen;
		await sleep(300);
	}
}

async function tell({world, story, expected}: Telling, wrong: string[]): Promise<readonly string[]> {
	const {journals} = world.cluster;
	const before = cutsBySource(await readJournals(journals));
	try {
		await story.tell();
	} catch (error) {
		wrong.push(words(error));
	}
	const objects = await settle(world, expected);
	if (expected) wrong.push(...differences(expected, objects));
	try {
		const contents = await story.contents();
		if (!isDeepStrictEqual(contents, story.expected)) wrong.push(`the disks hold ${JSON.stringify(contents)}`);
	} catch (error) {
		wrong.push(words(error));
	}
	const after = [...cutsBySource(await readJournals(journals))];
	const cuts = after.map(([source, count]) => count - (before.get(source) ?? 0)).filter((count) => count > 0);
	const sorted = (counts: readonly number[]) => counts.toSorted((a, b) => a - b);
	if (!isDeepStrictEqual(sorted(cuts), sorted(story.cuts))) {
		wrong.push(`${cuts.join(' and ') || 0} snapshots were cut instead of ${story.cuts.join(' and ') || 0}`);
	}
	return objects;
}

interface Before {
	readonly objects: readonly string[];
	readonly leaks: readonly string[];
}

async function look(world: CrashWorld): Promise<Before> {
	return {objects: normalForm(await everything(world)), leaks: await auditLeaks(world.api, world.cluster)};
}

/** Empty when all is as it was. The audit looks at the whole machine, so it comes when the objects are gone. */
async function leftovers(world: CrashWorld, before: Before): Promise<readonly string[]> {
	const objects = differences(before.objects, normalForm(await everything(world)));
	if (objects.length > 0) return objects;
	return (await auditLeaks(world.api, world.cluster)).filter((leak) => !before.leaks.includes(leak));
}

async function forget({world, story}: Telling, before: Before): Promise<void> {
	await story.forget();
	await until(
		'all is as it was before',
		async () => {
			const left = await leftovers(world, before);
			if (left.length > 0) throw new Error(left.join('; '));
			return true;
		},
		{timeoutMs: forgetMs, intervalMs: 400},
	);
}

/** A right that the service account lacks would go unnoticed by an administrator's kubeconfig. */
function refusals(log: string): readonly string[] {
	return log.split('\n').filter((line) => line.includes('"code":403'));
}

async function play(telling: Telling, controller: SupervisedController): Promise<Omit<Ending, 'seconds'>> {
	const wrong: string[] = [];
	const before = await look(telling.world);
	const objects = await tell(telling, wrong);
	try {
		await forget(telling, before);
	} catch (error) {
		wrong.push(words(error));
	}
	await controller.stop();
	wrong.push(...refusals(await controller.log()));
	return {killed: controller.wasKilled(), writes: await controller.writes(), objects, wrong};
}

export async function runStory(telling: Telling): Promise<Ending> {
	const startedAt = performance.now();
	const controller = await telling.host.start(telling.name, telling.point);
	try {
		const ending = await Promise.race([play(telling, controller), controller.failed]);
		return {...ending, seconds: (performance.now() - startedAt) / 1000};
	} finally {
		await controller.stop().catch(() => {});
	}
}
