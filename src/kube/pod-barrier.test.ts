import {beforeEach, describe, expect, test} from 'vitest';
import {pod} from '../../test/support/builders.ts';
import {ModelApiServer} from '../../test/support/model/api-server.ts';
import {silentLogger} from '../process/log.ts';
import {ManualClock} from '../process/manual-clock.ts';
import {PodBarrier} from './pod-barrier.ts';
import * as resources from './resources.ts';

const ownPod = {namespace: 'onesnap', name: 'controller'};
const annotation = 'example.com/barrier';
const {signal} = new AbortController();

describe('PodBarrier', () => {
	let server: ModelApiServer;
	let clock: ManualClock;
	let told: number;
	const barrierOf = (own: typeof ownPod | undefined = ownPod, run = 'run-1') =>
		new PodBarrier({
			...{api: server.api, caches: server.memory.caches, pod: own, annotation, run, clock, log: silentLogger},
			onPassed: () => {
				told += 1;
			},
		});
	const writes = () => server.revision;

	beforeEach(() => {
		server = new ModelApiServer();
		clock = new ManualClock();
		told = 0;
		server.create(resources.pods, pod(ownPod));
		server.deliverAll();
	});

	test('is passed when the watch shows its write, not before', async () => {
		const barrier = barrierOf();
		await barrier.pass(3, signal);
		expect([barrier.passed, told]).toEqual([0, 0]);
		server.deliverAll();
		expect([barrier.passed, told]).toEqual([3, 1]);
	});

	test('one write is under way at a time, and none is made for what is passed', async () => {
		const barrier = barrierOf();
		await barrier.pass(3, signal);
		const before = writes();
		await barrier.pass(4, signal);
		expect(writes()).toBe(before);
		server.deliverAll();
		await barrier.pass(3, signal);
		expect(writes()).toBe(before);
		await barrier.pass(4, signal);
		server.deliverAll();
		expect(barrier.passed).toBe(4);
	});

	test('numbers of an earlier run of this process say nothing', async () => {
		await barrierOf(ownPod, 'run-0').pass(9, signal);
		const barrier = barrierOf();
		server.deliverAll();
		expect(barrier.passed).toBe(0);
	});

	test('is not available outside of a Pod', async () => {
		const barrier = new PodBarrier({
			...{api: server.api, caches: server.memory.caches, pod: undefined, annotation, run: 'run', clock},
			log: silentLogger,
			onPassed: () => {},
		});
		const before = writes();
		await barrier.pass(1, signal);
		expect([barrier.available, writes()]).toEqual([false, before]);
	});

	test.each<[string, () => Promise<PodBarrier>]>([
		[
			'our Pod is gone',
			async () => {
				server.delete(resources.pods, ownPod);
				const barrier = barrierOf();
				await barrier.pass(1, signal);
				return barrier;
			},
		],
		[
			'the watch is late',
			async () => {
				const barrier = barrierOf();
				await barrier.pass(1, signal);
				await clock.advance(PodBarrier.lateMs + 1);
				return barrier;
			},
		],
	])('is not available for a minute where %s', async (_, fail) => {
		const barrier = await fail();
		expect(barrier.available).toBe(false);
		await clock.advance(60_000);
		expect(barrier.available).toBe(true);
	});
});
