/** A URL as people may see it: without user name, password, fragment, and without the values of its query (signatures live there). */
export function shownUrl(url: URL | string): string {
	const shown = new URL(url);
	shown.username = '';
	shown.password = '';
	shown.hash = '';
	const query = shown.search === '' ? '' : '?…';
	shown.search = '';
	return `${shown.href}${query}`;
}
