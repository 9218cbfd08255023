/** As people may see it: no user, no password, no query, where signatures live. What is no URL is shown as it is. */
export function shownUrl(url: string): string {
	if (!URL.canParse(url)) return url;
	const {protocol, host, pathname, search} = new URL(url);
	return `${protocol}//${host}${pathname}${search && '?…'}`;
}
