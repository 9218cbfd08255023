import {CsiError} from './errors.ts';

/** A page of a list, and where the next one starts; no token on the last page. */
export type Page<Item> = {readonly items: readonly Item[]; readonly nextToken?: string};

/**
 * A page after `startingToken`. The token names the last id of the page before instead of a position, so that objects made or
 * deleted between two pages neither repeat nor hide others. An unknown token is ABORTED, as CSI wants: the caller starts again.
 */
export function pageOf<Item extends {readonly id: string}>(
	items: readonly Item[],
	request: {readonly max_entries?: number; readonly starting_token?: string},
): Page<Item> {
	const max = request.max_entries ?? 0;
	if (max < 0) throw new CsiError('INVALID_ARGUMENT', 'max_entries must not be negative');
	const after = request.starting_token ? lastIdIn(request.starting_token) : '';
	const rest = items.filter(({id}) => id > after).sort((a, b) => (a.id < b.id ? -1 : 1));
	const page = max > 0 ? rest.slice(0, max) : rest;
	const last = page.at(-1);
	return page.length < rest.length && last ? {items: page, nextToken: `after:${last.id}`} : {items: page};
}

function lastIdIn(token: string): string {
	const id = /^after:(.+)$/.exec(token)?.[1];
	if (id === undefined)
		throw new CsiError('ABORTED', `starting_token ${token} is not one of ours; start the list again`);
	return id;
}
