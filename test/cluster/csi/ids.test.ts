import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {idOf, isId} from './ids.ts';

describe('idOf', () => {
	it.each(['pvc-0b5ec4c2-8d0f-4b2f-b9d5-0f0a5b9f7a3e', 'snapshot-1', 'a', '_.x', 'x'.repeat(128)])(
		'takes %s as it is',
		(name) => expect(idOf(name)).toBe(name),
	);

	it.each(['../etc/passwd', '.', '..', '.hidden', 'a/b', 'x'.repeat(129), 'a b', 'ä', 'a.json', 'a.tmp', '', '-rf'])(
		'hashes %j',
		(name) => expect(idOf(name)).toMatch(/^sha256-[0-9a-f]{64}$/),
	);

	it('hashes a name that looks like a hash, so that it cannot be the id of another name', () => {
		const forged = idOf('a/b');
		expect(idOf(forged)).not.toBe(forged);
	});

	it('gives every name an id of its own that is safe as a file name', () => {
		fc.assert(
			fc.property(fc.string(), fc.string(), (a, b) => {
				expect(isId(idOf(a))).toBe(true);
				expect(idOf(a) === idOf(b)).toBe(a === b);
			}),
		);
	});
});
