import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {pageOf} from './paging.ts';

const items = (...ids: string[]) => ids.map((id) => ({id}));

/** Follows the tokens from the first page to the last. */
function allPages(ids: readonly string[], max_entries: number): string[] {
	const seen: string[] = [];
	let token: string | undefined;
	do {
		const page = pageOf(items(...ids), {max_entries, ...(token !== undefined && {starting_token: token})});
		seen.push(...page.items.map(({id}) => id));
		token = page.nextToken;
	} while (token !== undefined);
	return seen;
}

describe('pageOf', () => {
	it('gives everything, sorted, where no maximum is asked for', () => {
		expect(pageOf(items('b', 'a'), {})).toEqual({items: items('a', 'b')});
	});

	it('gives no token with a last page that is just full', () => {
		expect(pageOf(items('a', 'b'), {max_entries: 2})).toEqual({items: items('a', 'b')});
	});

	it('goes on behind the last page, though its last item has been deleted and an earlier one was made', () => {
		const {nextToken = ''} = pageOf(items('b', 'c', 'd'), {max_entries: 2});
		expect(pageOf(items('a', 'b', 'd'), {starting_token: nextToken})).toEqual({items: items('d')});
	});

	it('answers ABORTED to a token that it did not give', () => {
		expect(() => pageOf([], {starting_token: 'invalid-token'})).toThrow(expect.objectContaining({code: 'ABORTED'}));
	});

	it('refuses a negative maximum', () => {
		expect(() => pageOf([], {max_entries: -1})).toThrow(expect.objectContaining({code: 'INVALID_ARGUMENT'}));
	});

	it('shows each item once, whatever the size of the pages', () => {
		fc.assert(
			fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,8}$/)), fc.integer({min: 1, max: 5}), (ids, max) => {
				expect(allPages(ids, max)).toEqual([...ids].sort());
			}),
		);
	});
});
