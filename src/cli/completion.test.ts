import {describe, expect, test} from 'vitest';
import {askedFor, complete, formatChoices} from './completion.ts';
import {create} from './create.ts';

describe('completion', () => {
	test.each<[readonly string[], ReturnType<typeof askedFor>]>([
		[['--'], 'flags'],
		[['vm-1', '--pvc', 'go'], {completes: 'claims', prefix: 'go', before: ''}],
		[['vm-1', '--pvc=go'], {completes: 'claims', prefix: 'go', before: '--pvc='}],
		[['vm-1', '-n', ''], {completes: 'namespaces', prefix: '', before: ''}],
		[['vm-1', '--wait', ''], {completes: 'none', prefix: '', before: ''}],
		[['--kubeconfig', ''], {completes: 'file', prefix: '', before: ''}],
	])('of %j', (words, asked) => {
		expect(askedFor(create, words)).toEqual(asked);
	});

	test('of flags has their help beside them', async () => {
		expect(formatChoices(await complete(create, ['vm-1', '--pre']))).toBe(
			'--preallocation\tAllocate every block now\n:4\n',
		);
	});

	test('of what is one of a few', async () => {
		expect(await complete(create, ['--dry-run='])).toEqual({
			words: ['--dry-run=client', '--dry-run=none', '--dry-run=server'],
			directive: 4,
		});
		expect(await complete(create, ['-o', 'y'])).toEqual({words: ['yaml'], directive: 4});
	});

	test('says nothing where there is no cluster to ask', async () => {
		const words = ['--kubeconfig', '/does/not/exist', '--class', ''];
		expect(await complete(create, words)).toEqual({words: [], directive: 4});
	});
});
