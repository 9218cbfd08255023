import {describe, expect, it} from 'vitest';
import {parseCapabilities, parseCapability} from './capabilities.ts';
import type {AccessMode, VolumeCapability} from './messages.ts';

const mode = (mode: AccessMode) => ({access_mode: {mode}});

describe('parseCapability', () => {
	it.each<[string, VolumeCapability, object]>([
		['a block volume', {block: {}, ...mode('SINGLE_NODE_WRITER')}, {block: true}],
		['a block volume of several nodes', {block: {}, ...mode('MULTI_NODE_MULTI_WRITER')}, {block: true}],
		['a file system of our choice', {mount: {}, ...mode('SINGLE_NODE_WRITER')}, {block: false, mountFlags: []}],
		[
			'xfs with flags',
			{mount: {fs_type: 'xfs', mount_flags: ['noatime']}, ...mode('MULTI_NODE_READER_ONLY')},
			{block: false, fsType: 'xfs', mountFlags: ['noatime']},
		],
	])('takes %s', (_, capability, access) => expect(parseCapability(capability)).toEqual(access));

	it.each<[string, VolumeCapability | undefined, RegExp]>([
		['nothing', undefined, /missing/],
		['no access type', mode('SINGLE_NODE_WRITER'), /neither block nor mount/],
		['no access mode', {block: {}}, /access_mode/],
		['another file system', {mount: {fs_type: 'ntfs'}, ...mode('SINGLE_NODE_WRITER')}, /ntfs is not one of ext4, xfs/],
		['a file system written by several nodes', {mount: {}, ...mode('MULTI_NODE_MULTI_WRITER')}, /block volume only/],
		['a file system read beside its writer', {mount: {}, ...mode('MULTI_NODE_SINGLE_WRITER')}, /cannot be read/],
	])('refuses %s', (_, capability, message) => {
		expect(() => parseCapability(capability)).toThrow(
			expect.objectContaining({code: 'INVALID_ARGUMENT', message: expect.stringMatching(message)}),
		);
	});
});

describe('parseCapabilities', () => {
	it('wants at least one', () => {
		expect(() => parseCapabilities([])).toThrow(expect.objectContaining({code: 'INVALID_ARGUMENT'}));
	});
});
