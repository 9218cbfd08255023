import {describe, expect, it} from 'vitest';
import {isRuntimeFile, type Lockfile, runtimePackages} from './assemble.ts';

const lock: Lockfile = {
	packages: {
		'': {dependencies: {web: '1', client: '1'}},
		'node_modules/web': {dependencies: {shared: '1', '@scope/part': '1', '@types/node': '1'}},
		'node_modules/client': {dependencies: {shared: '2', late: '1'}, optionalDependencies: {absent: '1'}},
		'node_modules/client/node_modules/shared': {dependencies: {late: '1'}},
		'node_modules/shared': {},
		'node_modules/late': {peerDependencies: {web: '1', style: '1'}, peerDependenciesMeta: {style: {optional: true}}},
		'node_modules/@scope/part': {dependencies: {shared: '3'}},
		'node_modules/@scope/part/node_modules/shared': {},
		'node_modules/@types/node': {},
		'node_modules/compiler': {},
	},
};

describe('runtimePackages', () => {
	it('follows dependencies to the copy that Node would load, without declarations and development packages', () => {
		expect(runtimePackages(lock, [])).toEqual([
			'node_modules/@scope/part',
			'node_modules/@scope/part/node_modules/shared',
			'node_modules/client',
			'node_modules/client/node_modules/shared',
			'node_modules/late',
			'node_modules/shared',
			'node_modules/web',
		]);
	});

	it('leaves a direct dependency out with what only that one needs', () => {
		expect(runtimePackages(lock, ['client'])).toEqual([
			'node_modules/@scope/part',
			'node_modules/@scope/part/node_modules/shared',
			'node_modules/shared',
			'node_modules/web',
		]);
	});

	it('says who needs a package that the lock file lacks', () => {
		const broken = {packages: {'': {dependencies: {a: '1'}}, 'node_modules/a': {dependencies: {b: '1'}}}};
		expect(() => runtimePackages(broken, [])).toThrow('node_modules/a needs b, which has no entry');
	});
});

describe('isRuntimeFile', () => {
	it.each([
		['a/index.js', true],
		['a/data.json', true],
		['a/LICENSE.md', true],
		['a/README.md', false],
		['a/index.d.ts', false],
		['a/index.d.cts', false],
		['a/index.js.map', false],
	])('%s: %s', (file, expected) => {
		expect(isRuntimeFile(file)).toBe(expected);
	});
});
