/**
 * The controller is killed right after the writes after which a mistake would cost most, and must end where it would have
 * ended undisturbed. `make test-crash` does it after every write.
 */
import {randomBytes} from 'node:crypto';
import path from 'node:path';
import {beforeAll, describe, expect, test} from 'vitest';
import {ControllerHost} from '../crash/host-controller.ts';
import {runStory} from '../crash/run-story.ts';
import {scenarios, type Story} from '../crash/scenarios.ts';
import {type CrashWorld, openCrashWorld} from '../crash/world.ts';
import {ensureLocalCluster} from '../cluster/cluster.ts';
import {testLabels} from './labels.ts';
import {api, context, local} from './world.ts';

/** By scenario, as test/crash/writes.ts calls them. */
const dangerous: Readonly<Record<string, readonly string[]>> = {
	'import and clones': ['worker Pod created', 'VolumeSnapshot created'],
	'fallback to copy': ['prime claim created', 'volume moved'],
	'rotation of a busy source': [
		'SharedSnapshot created',
		'request assigned',
		'SharedSnapshot closed',
		'VolumeSnapshot created',
		'alias content created',
		'restored claim created',
	],
};

const logs = path.resolve(import.meta.dirname, '../../.onesnap/test/e2e-crash');

/** Of the local cluster alone: the controller must run outside of it, and the disks be files of this machine. */
describe.runIf(local)('the controller, killed', () => {
	let host: ControllerHost;
	let world: CrashWorld;

	beforeAll(async () => {
		const cluster = await ensureLocalCluster();
		host = await ControllerHost.take({api, cluster, workerImage: context.workerImage, folder: logs});
		return () => host[Symbol.asyncDispose]();
	});

	beforeAll(async () => {
		const cluster = await ensureLocalCluster();
		const prefix = `e2e-crash-${randomBytes(3).toString('hex')}`;
		world = await openCrashWorld({api, cluster, workerImage: context.workerImage, prefix, labels: testLabels});
		return () => world[Symbol.asyncDispose]();
	});

	describe.each(scenarios)('in the middle of: $name,', (scenario) => {
		let story: Story & AsyncDisposable;
		let undisturbed: readonly string[];
		const nameOf = (what: string) => `${scenario.name}-${what}`.replaceAll(' ', '-');

		beforeAll(async () => {
			story = await scenario.prepare(world);
			const ending = await runStory({world, host, story, name: nameOf('undisturbed')});
			expect(ending.wrong).toEqual([]);
			undisturbed = ending.objects;
			return () => story[Symbol.asyncDispose]();
		});

		test.each(dangerous[scenario.name] ?? [])('after: %s', async (write) => {
			const point = {after: write, how: 'killed'} as const;
			const ending = await runStory({world, host, story, name: nameOf(write), point, expected: undisturbed});
			expect(ending.wrong).toEqual([]);
			expect(ending.killed).toBe(true);
			expect(ending.writes.at(-1)).toBe(write);
		});
	});
});
