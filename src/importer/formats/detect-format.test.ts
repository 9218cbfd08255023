import {describe, expect, test} from 'vitest';
import {detectFormat} from './detect-format.ts';

const shown = 'http://host/disk';

function bytes(length: number, marks: Record<number, string | Buffer> = {}): Buffer {
	const head = Buffer.alloc(length);
	for (const [at, mark] of Object.entries(marks)) Buffer.from(mark).copy(head, Number(at));
	return head;
}

function detect(head: Buffer, lengthBytes: number | undefined = head.length, contentType?: string) {
	return detectFormat({head, lengthBytes, shown, contentType});
}

describe('is an image', () => {
	test.each([
		['qcow2', bytes(512, {0: Buffer.from('QFI\xfb', 'latin1')}), 'qcow2'],
		['vmdk', bytes(512, {0: 'KDMV'}), 'vmdk'],
		[
			'vdi',
			bytes(512, {0: '<<< Oracle VM VirtualBox Disk Image >>>\n', 64: Buffer.from([0x7f, 0x10, 0xda, 0xbe])}),
			'vdi',
		],
		['a dynamic vhd', bytes(512, {0: 'conectix'}), 'vpc'],
		['vhdx', bytes(512, {0: 'vhdxfile'}), 'vhdx'],
		['zeros', bytes(4096), 'raw'],
		[
			'a boot sector with text in it',
			bytes(512, {0: 'Invalid partition table', 510: Buffer.from([0x55, 0xaa])}),
			'raw',
		],
		['whole sectors of noise', bytes(1024, {0: Buffer.from([1, 2, 3, 0xff])}), 'raw'],
		['an ISO cut in the middle of a sector', bytes(40_001, {32769: 'CD001'}), 'raw'],
	])('%s', (_, head, format) => {
		expect(detect(head)).toBe(format);
	});

	test('a stream of unknown length', () => {
		expect(detectFormat({head: bytes(1000, {0: '\u0001'}), lengthBytes: undefined, shown})).toBe('raw');
	});
});

describe('is no image', () => {
	test.each([
		['nothing', Buffer.alloc(0), /is empty/],
		[
			'a web page',
			Buffer.from('<!DOCTYPE html>\n<html>Sign in</html>'),
			/text, served as text\/html, beginning with "<!DOCTYPE html> <html>Sign in/,
		],
		['a web page that fills sectors', Buffer.from('<html>'.padEnd(1024, ' ')), /is no disk image but text/],
		['JSON', Buffer.from('{"error":"unauthorized"}'), /beginning with "{\\"error/],
		['text in UTF-8', Buffer.from('Schöne Grüße, '.repeat(200)), /but text/],
		['bytes that end within a sector', bytes(1000, {0: '\u0001'}), /no whole number of 512-byte sectors/],
	])('%s', (_, head, message) => {
		expect(() => detect(head, head.length, 'text/html')).toThrow(
			expect.objectContaining({reason: 'InvalidImage', message: expect.stringMatching(message) as string}),
		);
	});
});

test.each([
	['zip', {0: Buffer.from([0x50, 0x4b, 3, 4])}],
	['tar', {257: 'ustar'}],
	['bzip2', {0: 'BZh9'}],
])('%s is refused by name', (name, marks) => {
	expect(() => detect(bytes(1024, marks))).toThrow(
		expect.objectContaining({
			reason: 'FormatNotSupported',
			message: expect.stringContaining(`in ${name} format`) as string,
		}),
	);
});

test.each(['# Disk DescriptorFile\nversion=1\nRW 8 FLAT "/etc/passwd" 0\n', 'COWD'])(
	'%j is one file of several',
	(mark) => {
		expect(() => detect(bytes(1024, {0: mark}))).toThrow(expect.objectContaining({reason: 'ImageNotStandalone'}));
	},
);
