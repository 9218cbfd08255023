import {describe, expect, it} from 'vitest';
import {chooseMirror, parseAptProxies, parseListFile, parseSourcesFile} from './apt-sources.ts';

const deb822 = `Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://security.example/debian-security
Suites:
 bookworm-security
Components: main
`;

describe('parseSourcesFile', () => {
	it('reads stanzas, skips comments between fields and joins continued lines', () => {
		expect(parseSourcesFile(deb822)).toEqual([
			{
				uris: ['http://mirror.example/debian'],
				suites: ['bookworm', 'bookworm-updates'],
				components: ['main'],
				keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
				trusted: false,
			},
			{
				uris: ['http://security.example/debian-security'],
				suites: ['bookworm-security'],
				components: ['main'],
				trusted: false,
			},
		]);
	});

	it('skips disabled entries, source entries and inline keys', () => {
		const text = `Types: deb-src
URIs: http://a.example/debian
Suites: bookworm
Components: main

Types: deb
Enabled: no
URIs: http://b.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://c.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
`;
		expect(parseSourcesFile(text)).toEqual([
			{uris: ['http://c.example/debian'], suites: ['bookworm'], components: ['main'], trusted: false},
		]);
	});
});

describe('parseListFile', () => {
	it('reads options and leaves comments and sources out', () => {
		const text = `# deb http://no.example/debian bookworm main
deb-src http://no.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/keys/x.gpg trusted=yes] https://mirror.example/debian bookworm main contrib # near us
`;
		expect(parseListFile(text)).toEqual([
			{
				uris: ['https://mirror.example/debian'],
				suites: ['bookworm'],
				components: ['main', 'contrib'],
				keyring: '/etc/keys/x.gpg',
				trusted: true,
			},
		]);
	});
});

describe('chooseMirror', () => {
	const vendor = parseListFile(
		'deb https://packages.example/apt cloud-sdk-bookworm main\ndeb http://x.example nodistro main',
	);
	const security = parseListFile('deb http://security.example/debian-security bookworm-security main');

	it.each([
		[
			'the entry of the suite, past vendors and security',
			[...vendor, ...security, ...parseSourcesFile(deb822)],
			'http://mirror.example/debian',
		],
		[
			'another Debian suite of a mirror',
			parseListFile('deb http://near.example/debian trixie main'),
			'http://near.example/debian',
		],
		[
			'the default on another distribution',
			parseListFile('deb http://archive.ubuntu.example/ubuntu noble main'),
			'http://deb.debian.org/debian',
		],
		['the default when only vendors are listed', vendor, 'http://deb.debian.org/debian'],
		[
			'the default for a scheme that debootstrap cannot use',
			parseListFile('deb cdrom:[x]/ bookworm main'),
			'http://deb.debian.org/debian',
		],
	])('takes %s', (_name, sources, expected) => {
		expect(chooseMirror(sources, 'bookworm').uri).toBe(expected);
	});

	it("keeps the entry's keyring", () => {
		expect(chooseMirror(parseSourcesFile(deb822), 'bookworm')).toEqual({
			uri: 'http://mirror.example/debian',
			keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
			trusted: false,
		});
	});
});

describe('parseAptProxies', () => {
	const mirror = 'http://deb.debian.org/debian';
	it.each([
		['nothing set', 'Acquire::Check-Date "false";\nAcquire::http::Proxy "";', {}],
		[
			'one for http',
			'Acquire::http::Proxy "http://proxy:3128";',
			{http: 'http://proxy:3128', https: 'http://proxy:3128'},
		],
		['DIRECT', 'Acquire::http::Proxy "DIRECT";', {}],
		[
			'one for this host only',
			'Acquire::http::Proxy "http://p:1";\nAcquire::http::Proxy::deb.debian.org "DIRECT";',
			{https: 'http://p:1'},
		],
		['one for another host', 'Acquire::http::Proxy::other.example "http://p:1";', {}],
		[
			'the last of two',
			'Acquire::http::Proxy "http://p:1";\nAcquire::http::Proxy "http://p:2";',
			{http: 'http://p:2', https: 'http://p:2'},
		],
	])('%s', (_name, dump, expected) => {
		expect(parseAptProxies(dump, mirror)).toEqual(expected);
	});
});
