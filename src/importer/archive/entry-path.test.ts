import {describe, expect, test} from 'vitest';
import {entryPath, leadsInside} from './entry-path.ts';

describe('the path of an entry', () => {
	test.each<[string, readonly string[] | undefined]>([
		['disk.img', ['disk.img']],
		['./a/b/', ['a', 'b']],
		['./', []],
		['/etc/passwd', ['etc', 'passwd']],
		['a//b', ['a', 'b']],
		['..', undefined],
		['../a', undefined],
		['a/../b', undefined],
		['a/..', undefined],
		['a\0b', undefined],
		['...', ['...']],
	])('%j', (path, names) => {
		expect(entryPath(path)).toEqual(names);
	});
});

describe('a symbolic link', () => {
	test.each<[string, string, boolean]>([
		['link', 'disk.img', true],
		['a/b/link', '../disk.img', true],
		['a/b/link', '../../disk.img', true],
		['link', '.', true],
		['a/link', '..', true],
		['link', '..', false],
		['link', '../disk.img', false],
		['a/b/link', '../../../disk.img', false],
		['a/link', './../b/./c', true],
		// Where b is a link itself, this is no longer what it looks like.
		['a/link', 'b/../../c', false],
		['a/link', '../b/../../c', false],
		['link', '/etc/passwd', false],
		['link', 'a\0b', false],
	])('%s -> %s may be there: %s', (path, target, expected) => {
		expect(leadsInside(path.split('/'), target)).toBe(expected);
	});
});
