import {describe, expect, it} from 'vitest';
import {moduleVersion, parseGoMod} from './go-mod.ts';

const text = `module example.org/tools

go 1.26.0

// a comment with require example.org/none v9.9.9
replace k8s.io/api => k8s.io/api v0.34.4

tool example.org/one/cmd/one

tool (
	example.org/two/cmd/a
	example.org/two/cmd/b // the second
)

require example.org/single v1.2.3

require (
	example.org/one v0.1.0 // indirect
	example.org/two/v2 v2.0.0-20260101000000-abcdefabcdef
)
`;

describe('parseGoMod', () => {
	it('finds required versions on single lines and in blocks, and no others', () => {
		expect([...parseGoMod(text).versions]).toEqual([
			['example.org/single', 'v1.2.3'],
			['example.org/one', 'v0.1.0'],
			['example.org/two/v2', 'v2.0.0-20260101000000-abcdefabcdef'],
		]);
	});

	it('finds tools in both forms', () => {
		expect(parseGoMod(text).tools).toEqual([
			'example.org/one/cmd/one',
			'example.org/two/cmd/a',
			'example.org/two/cmd/b',
		]);
	});
});

it('reads the versions of our own tools', () => {
	expect(moduleVersion('kubernetes', 'k8s.io/kubernetes')).toMatch(/^v1\.\d+\.\d+$/);
	expect(() => moduleVersion('kubernetes', 'example.org/none')).toThrow('does not require example.org/none');
});
