import {describe, expect, it} from 'vitest';
import {withNames} from './build.ts';
import {contentKey} from './cache.ts';

describe('contentKey', () => {
	const base = contentKey([
		['a', 'x'],
		['b', 'y'],
	]);

	it('is the same for the same parts', () => {
		expect(
			contentKey([
				['a', Buffer.from('x')],
				['b', 'y'],
			]),
		).toBe(base);
		expect(base).toMatch(/^[0-9a-f]{12}$/);
	});

	it.each([
		[
			'content',
			[
				['a', 'x'],
				['b', 'z'],
			],
		],
		[
			'name',
			[
				['a', 'x'],
				['c', 'y'],
			],
		],
		[
			'order',
			[
				['b', 'y'],
				['a', 'x'],
			],
		],
		['border between parts', [['a', 'x1:b1:y']]],
		['number of parts', [['a', 'x']]],
	] as Array<[string, Array<[string, string]>]>)('changes with %s', (_what, parts) => {
		expect(contentKey(parts)).not.toBe(base);
	});
});

describe('withNames', () => {
	it('lists the one manifest under every name', () => {
		const index = {schemaVersion: 2, manifests: [{digest: 'sha256:1', size: 2, annotations: {x: 'y'}}]};
		const named = (name: string) => ({
			digest: 'sha256:1',
			size: 2,
			annotations: {'org.opencontainers.image.ref.name': name, 'io.containerd.image.name': name},
		});
		expect(JSON.parse(withNames(JSON.stringify(index), ['a:1', 'a:dev']))).toEqual({
			schemaVersion: 2,
			manifests: [named('a:1'), named('a:dev')],
		});
	});
});
