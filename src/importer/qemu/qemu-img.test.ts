import {describe, expect, test} from 'vitest';
import {imageOptions} from './image-options.ts';
import {lacksNativeAio, lastPercent, parseImageInfo} from './qemu-img.ts';

describe('an image is named by its drivers', () => {
	test('qcow2 on a socket', () => {
		expect(imageOptions({driver: 'qcow2', file: {driver: 'nbd', descriptor: 3}})).toBe(
			'driver=qcow2,file.driver=nbd,file.server.type=fd,file.server.str=3',
		);
	});
	test('a comma or a protocol in a path stays a part of the path', () => {
		expect(imageOptions({driver: 'raw', file: {driver: 'file', path: '/data/nbd:a,driver=qcow2'}})).toBe(
			'driver=raw,file.driver=file,file.filename=/data/nbd:a,,driver=qcow2,file.locking=off',
		);
	});
	test('a device that takes writes without threads', () => {
		expect(imageOptions({driver: 'host_device', path: '/dev/a', nativeAio: true})).toBe(
			'driver=host_device,filename=/dev/a,locking=off,aio=native',
		);
	});
});

test.each([
	['qemu-img: Could not open: Unable to use native AIO: failed to create linux AIO context', true],
	['qemu-img: aio=native was specified, but is not supported in this build.', true],
	['qemu-img: Could not open: No such file or directory', false],
])('%s', (stderr, expected) => {
	expect(lacksNativeAio(stderr)).toBe(expected);
});

test.each([
	['    (0.00/100%)\r    (12.34/100%)\r', 12.34],
	['    (100.00/100%)\r\n', 100],
	['    (12.', undefined],
])('progress in %j', (text, percent) => {
	expect(lastPercent(text)).toBe(percent);
});

test('a disk of more bytes than a number holds exactly is one that is too large, not a mistake of ours', () => {
	const {virtualBytes} = parseImageInfo('{"virtual-size": 18446744073709551104, "format": "vhdx"}');
	expect(virtualBytes).toBeGreaterThan(2 ** 63);
});
