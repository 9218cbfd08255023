/** Hand-made: raw sources, and servers that mean no good. */
import type {RequestListener, ServerResponse} from 'node:http';
import type {BaseImages} from './base-images.ts';
import type {Canaries, HostileCase} from './case.ts';
import {pour} from './packed-cases.ts';
import {withExtensions, withFields} from './qcow2-bytes.ts';

type Made = Pick<HostileCase, 'name' | 'source'> & Partial<HostileCase>;

const MiB = 1024 * 1024;

export function serverCases(images: BaseImages, canaries: Canaries): readonly HostileCase[] {
	const groups: Record<string, readonly Made[]> = {
		raw: rawCases(images),
		'endless sources': endless(images),
		'two faces': twoFaces(images, canaries),
		answers: answers(images, canaries),
	};
	return Object.entries(groups).flatMap(([group, cases]) => cases.map((each) => ({group, ...each})));
}

function rawCases({raw}: BaseImages): readonly Made[] {
	return [
		{name: 'nothing', source: Buffer.alloc(0), expect: ['InvalidImage']},
		{name: 'one byte', source: Buffer.from([0]), expect: ['InvalidImage']},
		{name: 'a sector of zeros', source: Buffer.alloc(512), expect: 'imported'},
		{name: 'a web page', source: Buffer.from('<html>Sign in</html>'.padEnd(512)), expect: ['InvalidImage']},
		{name: 'one sector more than the claim', source: Buffer.alloc(16 * MiB + 512, 1), expect: ['ImageTooLarge']},
		// The probing of a raw disk must not take what a guest wrote into its first sector for a format.
		{
			name: 'a raw disk with a qcow2 header at its second sector',
			source: Buffer.concat([Buffer.alloc(512, 2), raw]),
			expect: 'imported',
		},
	];
}

function endless({qcow2, raw}: BaseImages): readonly Made[] {
	const piece = Buffer.alloc(MiB, 0x5a);
	const stream =
		(begin: Buffer, headers: Record<string, string> = {}): RequestListener =>
		(_, response) => {
			response.writeHead(200, headers);
			pour(response, begin, piece);
		};
	/** Any range of a file of which only the beginning is stored. */
	const ranges =
		(begin: Buffer, total: string): RequestListener =>
		(request, response) => {
			const [, start = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
			const length = Math.min(Number(last) - Number(start) + 1, 32 * MiB);
			const body = Buffer.alloc(length, 0x5a);
			if (Number(start) < begin.length)
				begin.copy(body, 0, Number(start), Math.min(begin.length, Number(start) + length));
			const end = Number(start) + length - 1;
			response.writeHead(206, {
				'content-range': `bytes ${start}-${end}/${total}`,
				'content-length': length,
				etag: '"1"',
			});
			response.end(body);
		};
	const zeroPage = Buffer.alloc(512);
	return [
		{name: 'a raw stream without an end', source: stream(raw), expect: ['ImageTooLarge']},
		{
			name: 'a raw stream of zeros without an end',
			source: (_, response) => pour(response.writeHead(200), zeroPage, Buffer.alloc(MiB)),
			expect: ['ImageTooLarge'],
		},
		{name: 'a qcow2 stream without an end', source: stream(qcow2), expect: ['ImageTooLarge']},
		{
			name: 'a raw stream of 16 EiB',
			source: stream(raw, {'content-length': '18446744073709551615'}),
			expect: ['ImageTooLarge', 'SourceUnreachable'],
		},
		{name: 'a raw disk of 8 EiB with ranges', source: ranges(raw, '9223372036854775807'), expect: ['ImageTooLarge']},
		{
			name: 'a raw disk of 10^40 bytes with ranges',
			source: ranges(raw, `1${'0'.repeat(40)}`),
			expect: ['ImageTooLarge', 'InvalidImage'],
		},
		{name: 'a qcow2 of 1 PiB with ranges', source: ranges(qcow2, String(2 ** 50)), format: 'qcow2', expect: 'either'},
		{
			name: 'a qcow2 of 1 PiB with ranges, and a checksum',
			source: ranges(qcow2, String(2 ** 50)),
			checksum: `md5:${'0'.repeat(32)}`,
			expect: ['ImageTooLarge'],
		},
	];
}

/** Honest to whoever looks first. */
function twoFaces({qcow2}: BaseImages, {file}: Canaries): readonly Made[] {
	const backed = withExtensions(qcow2, [], file);
	const withDataFile = withFields(qcow2, {incompatible: 4});
	const faces = (second: Buffer, honest: number): RequestListener => {
		let requests = 0;
		return (request, response) => serveRange(requests++ < honest ? qcow2 : second, request.headers.range, response);
	};
	const once = (second: Buffer, honest: number): Made => ({name: '', source: faces(second, honest), format: 'qcow2'});
	return [
		{...once(backed, 1), name: 'a backing file from the second request on'},
		{...once(withDataFile, 1), name: 'a data file from the second request on'},
		{...once(withFields(qcow2, {virtualSize: 2n ** 40n}), 1), name: '1 TiB from the second request on'},
		{
			name: 'a backing file for whoever asks for no range, after two lies',
			source: (request, response) => {
				if (request.headers.range === undefined) serveRange(backed, undefined, response);
				else response.writeHead(416, {'content-range': 'bytes */7'}).end();
			},
			expect: ['ImageNotStandalone'],
		},
	];
}

function serveRange(bytes: Buffer, range: string | undefined, response: ServerResponse): void {
	const asked = /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
	if (!asked) {
		response.writeHead(200, {'content-length': bytes.length}).end(bytes);
		return;
	}
	const start = Number(asked[1]);
	const end = Math.min(bytes.length, Number(asked[2]) + 1);
	response.writeHead(206, {
		'content-range': `bytes ${start}-${end - 1}/${bytes.length}`,
		'content-length': end - start,
	});
	response.end(bytes.subarray(start, end));
}

function answers({raw}: BaseImages, {file, socket, port}: Canaries): readonly Made[] {
	const redirect =
		(location: string): RequestListener =>
		(_, response) => {
			response.writeHead(302, {location}).end();
		};
	const rawly =
		(text: string): RequestListener =>
		(_, response) => {
			response.socket?.end(text);
		};
	return [
		{name: 'redirected to a file', source: redirect(`file://${file}`), expect: ['SourceRefused']},
		{
			name: 'redirected to a socket',
			source: redirect(`http://unix:${socket}:/disk`),
			expect: ['SourceRefused', 'SourceUnreachable'],
		},
		{name: 'redirected to data:', source: redirect('data:,x'), expect: ['SourceRefused']},
		{
			name: 'redirected without end',
			source: (request, response) => redirect(`${request.url}x`)(request, response),
			expect: ['SourceRefused'],
		},
		{
			name: 'headers of 10 MB',
			source: rawly(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(10_000_000)}\r\n\r\n`),
			expect: ['SourceUnreachable'],
		},
		{name: 'headers without end', source: (_, response) => pourRaw(response), expect: ['SourceUnreachable']},
		{
			name: 'a negative length',
			source: rawly('HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx'),
			expect: ['SourceUnreachable'],
		},
		{
			name: 'two lengths',
			source: rawly('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nxxxxx'),
			expect: ['SourceUnreachable'],
		},
		{
			name: 'chunks of 16 EiB',
			source: rawly('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx'),
			expect: ['SourceUnreachable', 'InvalidImage'],
		},
		{name: 'no HTTP', source: rawly('SSH-2.0-OpenSSH_9.2\r\n'), expect: ['SourceUnreachable']},
		{
			name: 'a gzip that says it is a disk',
			source: (_, response) =>
				response.writeHead(200, {'content-encoding': 'gzip', 'content-length': raw.length}).end(raw),
			expect: 'imported',
		},
		{
			name: 'a page of credentials asked for',
			source: (_, response) =>
				response.writeHead(401, {'www-authenticate': `Basic realm="http://127.0.0.1:${port}"`}).end(),
			expect: ['SourceForbidden'],
		},
	];
}

function pourRaw(response: ServerResponse): void {
	const socket = response.socket;
	if (!socket) return;
	const line = `x-y: ${'z'.repeat(8000)}\r\n`;
	socket.write('HTTP/1.1 200 OK\r\n');
	const more = () => {
		while (!socket.destroyed && socket.write(line));
	};
	socket.on('drain', more).on('error', () => {});
	more();
}
