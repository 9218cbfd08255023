import {describe, expect, test} from 'vitest';
import {claim, sharedSnapshot, snapshot, snapshotContent} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {declaredImmutable, groupCommit, snapshotSource, watchedQuiet} from './rules.ts';

describe('rule SnapshotSource', () => {
	const named = snapshot({name: 'named', boundTo: 'content'});
	const content = snapshotContent({of: named});
	const refTo = (changes: object) => ({
		...content,
		spec: {...content.spec, volumeSnapshotRef: {...content.spec.volumeSnapshotRef, ...changes}},
	});

	test('holds for a snapshot and a content that name each other', () => {
		expect(snapshotSource(named, content)).toBe(true);
	});

	test.each([
		['there is no snapshot', undefined, content],
		['there is no content', named, undefined],
		['the content is of a snapshot that was there before', named, refTo({uid: 'earlier'})],
		['the content is of a snapshot in another namespace', named, refTo({namespace: 'other'})],
		['the content is of another snapshot', named, refTo({name: 'other'})],
		['the snapshot names another content', snapshot({name: 'named', boundTo: 'other'}), content],
		['nobody said whose content it is', named, refTo({uid: undefined})],
	])('does not where %s', (_, of, has) => {
		expect(snapshotSource(of, has)).toBe(false);
	});
});

test.each([
	['is open', {closed: false}, true],
	['is closed: its cut may have been made', {closed: true}, false],
	['is being deleted', {closed: false, deleting: true}, false],
])('rule GroupCommit, where the shared snapshot %s: %#', (_, options, holds) => {
	expect(groupCommit(sharedSnapshot(options))).toBe(holds);
});

test.each([
	['the watch is exactly at the request', {undisturbed: true, passed: 3}, 3, true],
	['the watch is past it', {undisturbed: true, passed: 4}, 3, true],
	['the watch is behind it', {undisturbed: true, passed: 2}, 3, false],
	['somebody may have written', {undisturbed: false, passed: 4}, 3, false],
])('rule WatchedQuiet, where %s: %#', (_, quiet, asked, holds) => {
	expect(watchedQuiet(quiet, asked)).toBe(holds);
});

describe('rule DeclaredImmutable', () => {
	const immutable = claim({annotations: {[annotations.immutable]: 'true'}});
	test.each([
		['declared before the cut and now', {immutable: true}, immutable, true],
		['declared after the cut', {immutable: false}, immutable, false],
		['revoked', {immutable: true}, claim(), false],
		['declared with another word', {immutable: true}, claim({annotations: {[annotations.immutable]: 'yes'}}), false],
		['gone', {immutable: true}, undefined, false],
	])('of a source that is %s: %#', (_, options, source, holds) => {
		expect(declaredImmutable(sharedSnapshot(options), source)).toBe(holds);
	});
});
