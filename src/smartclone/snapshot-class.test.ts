import {describe, expect, test} from 'vitest';
import {snapshotClass} from '../../test/support/builders.ts';
import {chooseSnapshotClass} from './snapshot-class.ts';

const a = snapshotClass({name: 'a', driver: 'one'});
const b = snapshotClass({name: 'b', driver: 'one', isDefault: true});
const c = snapshotClass({name: 'c', driver: 'two'});

describe('chooseSnapshotClass', () => {
	test.each([
		['the default class of the driver', [a, b, c], 'one', 'b'],
		[
			'the first by name where none is the default',
			[c, {...b, metadata: {...b.metadata, annotations: {}}}, a],
			'one',
			'a',
		],
		['of several defaults the first by name', [{...b, metadata: {...b.metadata, name: 'z'}}, b], 'one', 'b'],
		['only a class of the driver, whatever is default elsewhere', [b, c], 'two', 'c'],
		['none where the driver has none', [a, b], 'two', undefined],
		['none where there is no driver', [a, b], undefined, undefined],
	])('takes %s', (_, classes, driver, name) => {
		expect(chooseSnapshotClass(classes, driver)?.metadata.name).toBe(name);
	});

	test.each([
		['takes the class that is wished for', [a, b, c], 'a', 'a'],
		['not one of another driver', [a, b, c], 'c', 'b'],
		['not one that does not exist', [a, b, c], 'gone', 'b'],
	])('%s', (_, classes, wished, name) => {
		expect(chooseSnapshotClass(classes, 'one', wished)?.metadata.name).toBe(name);
	});
});
