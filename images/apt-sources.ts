/**
 * Which Debian mirror and proxy this machine uses, from apt's own settings: whoever pointed apt at a mirror wants
 * debootstrap to use it as well. Pure; debian.ts reads the files.
 */

/** One `deb` entry, from either of apt's two formats (sources.list(5)). */
export interface AptSource {
	readonly uris: readonly string[];
	readonly suites: readonly string[];
	readonly components: readonly string[];
	/** Path of a keyring. An inline key or a fingerprint is left out: debootstrap takes a file. */
	readonly keyring?: string;
	/** `trusted=yes`: the user told apt not to check signatures of this entry. */
	readonly trusted: boolean;
}

export interface Mirror {
	readonly uri: string;
	readonly keyring?: string;
	readonly trusted: boolean;
}

export interface AptProxies {
	readonly http?: string;
	readonly https?: string;
}

const defaultMirror: Mirror = {uri: 'http://deb.debian.org/debian', trusted: false};

/** Suites of Debian itself: tells its mirrors from third-party repositories, whose suites have other names. */
const debianSuites = /^(oldoldstable|oldstable|stable|testing|unstable|sid|bullseye|bookworm|trixie|forky|duke)$/;

/** The one-line format: `deb [options] uri suite component…` */
export function parseListFile(text: string): AptSource[] {
	const sources: AptSource[] = [];
	for (const line of text.split('\n')) {
		const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
		if (!match) continue;
		const [, options = '', uri = '', suite = '', components = ''] = match;
		const option = (name: string) =>
			words(options)
				.find((pair) => pair.startsWith(`${name}=`))
				?.slice(name.length + 1);
		sources.push({
			uris: [uri],
			suites: [suite],
			components: words(components),
			...keyringOf(option('signed-by')),
			trusted: option('trusted') === 'yes',
		});
	}
	return sources;
}

/** The deb822 format: stanzas of `Field: value`, continued by lines that begin with white space. */
export function parseSourcesFile(text: string): AptSource[] {
	const sources: AptSource[] = [];
	const withoutComments = text.replaceAll(/^#.*\n?/gm, '');
	for (const stanza of withoutComments.split(/\n\s*\n/)) {
		const fields = new Map<string, string>();
		for (const field of stanza.replaceAll(/\n[ \t]+/g, ' ').split('\n')) {
			const colon = field.indexOf(':');
			if (colon > 0) fields.set(field.slice(0, colon).trim().toLowerCase(), field.slice(colon + 1).trim());
		}
		const list = (name: string) => words(fields.get(name) ?? '');
		if (!list('types').includes('deb') || fields.get('enabled') === 'no') continue;
		sources.push({
			uris: list('uris'),
			suites: list('suites'),
			components: list('components'),
			...keyringOf(fields.get('signed-by')),
			trusted: fields.get('trusted') === 'yes',
		});
	}
	return sources;
}

/**
 * The first entry that serves the suite; else the first that serves any suite of Debian, since one mirror carries them
 * all; else Debian's own address (a machine with another distribution).
 */
export function chooseMirror(sources: readonly AptSource[], suite: string): Mirror {
	const usable = sources.filter((source) => source.components.includes('main'));
	const entry =
		usable.find((source) => source.suites.includes(suite)) ??
		usable.find((source) => source.suites.some((name) => debianSuites.test(name)));
	// debootstrap knows these schemes; apt's others (mirror+file, cdrom, tor) it does not.
	const uri = entry?.uris.find((candidate) => /^(https?|file):/.test(candidate));
	if (!entry || !uri) return defaultMirror;
	return {uri, trusted: entry.trusted, ...(entry.keyring === undefined ? {} : {keyring: entry.keyring})};
}

/** From the output of `apt-config dump`. A proxy for one host only counts where that host is the mirror's. */
export function parseAptProxies(configDump: string, mirrorUri: string): AptProxies {
	const host = /^https?:\/\/(?:[^@/]*@)?([^/:]+)/.exec(mirrorUri)?.[1];
	const find = (scheme: 'http' | 'https') => {
		const value = (key: string) =>
			configDump
				.split('\n')
				.map((line) => /^(\S+) "(.*)";$/.exec(line))
				.findLast((match) => match?.[1]?.toLowerCase() === key.toLowerCase() && match[2] !== '')?.[2];
		const proxy =
			(host && value(`Acquire::${scheme}::Proxy::${host}`)) ||
			value(`Acquire::${scheme}::Proxy`) ||
			// apt's https method falls back to the http setting
			(scheme === 'https' ? value('Acquire::http::Proxy') : undefined);
		return proxy && proxy !== 'DIRECT' && proxy !== 'false' ? {[scheme]: proxy} : {};
	};
	return {...find('http'), ...find('https')};
}

function keyringOf(signedBy: string | undefined): {keyring?: string} {
	return signedBy?.startsWith('/') ? {keyring: words(signedBy)[0] ?? signedBy} : {};
}

function words(text: string): string[] {
	return text.split(/\s+/).filter((word) => word !== '');
}
