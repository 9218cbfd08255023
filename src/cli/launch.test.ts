import {expect, test} from 'vitest';
import {versionProblem} from './launch.ts';

test.each([
	['20.20.2', 'kubectl dv needs Node 24 or later, this is 20.20.2'],
	['24.0.0', undefined],
	['100.1.0', undefined],
])('on Node %s', (version, problem) => {
	expect(versionProblem(version)).toBe(problem);
});
