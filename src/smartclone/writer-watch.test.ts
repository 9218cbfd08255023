import {beforeEach, describe, expect, test} from 'vitest';
import {claim, pod, type PodOptions, sharedSnapshot, volume} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import type {SharedSnapshot} from '../api/sharedsnapshot.ts';
import * as resources from '../kube/resources.ts';
import {WriterWatch} from './writer-watch.ts';

const golden = claim();
const shared = sharedSnapshot();
const writer = (options: PodOptions = {}) => pod({name: 'vm', mounts: [{claim: 'claim'}], ...options});
const {signal} = new AbortController();

describe('WriterWatch', () => {
	let memory: MemoryCaches;
	let watch: WriterWatch;
	const mark = () => watch.mark(shared, watch.positionOf(shared));
	const listing = (...items: SharedSnapshot[]) => ({
		list: async () => ({items: items as never[], resourceVersion: '1'}),
	});

	beforeEach(() => {
		memory = new MemoryCaches([golden, volume({boundTo: golden})]);
		watch = new WriterWatch(memory.caches);
	});

	test('nobody came since the mark: undisturbed', () => {
		mark();
		memory.set(pod({name: 'other', mounts: [{claim: 'other'}]}));
		memory.set(pod({name: 'reader', mounts: [{claim: 'claim', readOnly: true}]}));
		expect(watch.isUndisturbed(shared)).toBe(true);
	});

	test.each<[string, () => void]>([
		['a writer is there', () => memory.set(writer())],
		[
			'a writer came and went',
			() => {
				memory.set(writer());
				memory.remove(writer());
			},
		],
		[
			'a reader that was there became a writer, and a reader again',
			() => {
				memory.set(writer({mounts: [{claim: 'claim', readOnly: true}]}));
				memory.set(writer());
				memory.set(writer({mounts: [{claim: 'claim', readOnly: true}]}));
			},
		],
		['a writer has ended, and its object is still there', () => memory.set(writer({phase: 'Succeeded'}))],
		['the watch of Pods has a gap', () => memory.loseHistory(resources.pods)],
		['the watch of volumes has a gap', () => memory.loseHistory(resources.persistentVolumes)],
		[
			'another claim still has its volume',
			() => memory.set(claim({name: 'prime', uid: 'prime', volumeName: 'volume'})),
		],
		['another volume has its handle', () => memory.set(volume({name: 'twin', uid: 'twin'}))],
		[
			'another volume had its handle for a while',
			() => {
				memory.set(volume({name: 'twin', uid: 'twin'}));
				memory.remove(volume({name: 'twin', uid: 'twin'}));
			},
		],
	])('%s since the mark: disturbed', (_, happens) => {
		mark();
		happens();
		expect(watch.isUndisturbed(shared)).toBe(false);
	});

	test('a writer that was there when it was cut disturbs it for ever, also when it is gone', () => {
		memory.set(writer());
		mark();
		memory.remove(writer());
		expect(watch.isUndisturbed(shared)).toBe(false);
	});

	describe('of a snapshot that another replica cut', () => {
		test('without a baseline nothing is known', () => {
			expect(watch.isUndisturbed(shared)).toBe(false);
		});

		test('made after the baseline, with nobody since: undisturbed', async () => {
			memory.set(writer());
			memory.remove(writer());
			await watch.takeBaseline(listing(), signal);
			expect(watch.isUndisturbed(shared)).toBe(true);
		});

		test('made after the baseline, a writer since: disturbed, though it may have been before the cut', async () => {
			await watch.takeBaseline(listing(), signal);
			memory.set(writer());
			memory.remove(writer());
			expect(watch.isUndisturbed(shared)).toBe(false);
		});

		test('a writer that came while the list was on its way counts', async () => {
			const list = async () => {
				memory.set(writer());
				memory.remove(writer());
				return {items: [], resourceVersion: '1'};
			};
			await watch.takeBaseline({list}, signal);
			expect(watch.isUndisturbed(shared)).toBe(false);
		});

		test('there already when the baseline was taken: its cut may be older than the watch', async () => {
			await watch.takeBaseline(listing(shared), signal);
			expect(watch.isUndisturbed(shared)).toBe(false);
		});

		test('a gap makes the baseline worthless, until another one is taken', async () => {
			await watch.takeBaseline(listing(), signal);
			memory.loseHistory(resources.pods);
			expect(watch.isUndisturbed(shared)).toBe(false);
			await watch.takeBaseline(listing(), signal);
			expect(watch.isUndisturbed(shared)).toBe(true);
		});
	});
});
