import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import type {KubeObject} from '../api/kubernetes.ts';
import {type Index, Store} from './store.ts';

function thing(
	name: string,
	{namespace = 'ns', labels = {}}: {namespace?: string; labels?: Record<string, string>} = {},
): KubeObject {
	return {apiVersion: 'v1', kind: 'Thing', metadata: {name, namespace, labels}};
}

const byColour: Index<KubeObject> = {
	name: 'colour',
	keys: ({metadata}) => metadata.labels?.['colours']?.split(' ') ?? [],
};

describe('Store', () => {
	test('an object is found by every key of an index, and only as long as it has that key', () => {
		const store = new Store<KubeObject>();
		store.addIndex(byColour);
		store.set(thing('a', {labels: {colours: 'red blue'}}));
		store.set(thing('b', {labels: {colours: 'blue'}}));
		const names = (colour: string) => store.byIndex('colour', colour).map(({metadata}) => metadata.name);
		expect(names('red')).toEqual(['a']);
		expect(names('blue')).toEqual(['a', 'b']);
		store.set(thing('a', {labels: {colours: 'green'}}));
		expect(names('red')).toEqual([]);
		expect(names('blue')).toEqual(['b']);
		store.remove('ns/b');
		expect(names('blue')).toEqual([]);
	});

	test('an index added late knows what is there already', () => {
		const store = new Store<KubeObject>();
		store.set(thing('a', {labels: {colours: 'red'}}));
		store.addIndex(byColour);
		expect(store.byIndex('colour', 'red')).toHaveLength(1);
	});

	test('the same index may be added twice, another one of its name may not', () => {
		const store = new Store<KubeObject>();
		store.addIndex(byColour);
		store.addIndex(byColour);
		expect(() => store.addIndex({...byColour})).toThrow('already named colour');
		expect(() => store.byIndex('size', 'xl')).toThrow('no index named size');
	});

	test('lists one namespace, or all', () => {
		const store = new Store<KubeObject>();
		store.set(thing('a', {namespace: 'one'}));
		store.set(thing('a', {namespace: 'two'}));
		expect(store.list('one')).toHaveLength(1);
		expect(store.list()).toHaveLength(2);
		expect(store.get('two', 'a')?.metadata.namespace).toBe('two');
		expect(store.get('two', 'b')).toBeUndefined();
	});

	test('managedFields do not stay in memory, the rest stays as received', () => {
		const store = new Store<KubeObject & {spec: object}>();
		const object = {...thing('a'), spec: {deep: [1]}};
		store.set({...object, metadata: Object.assign({managedFields: [{manager: 'x'}]}, object.metadata)});
		expect(store.get('ns', 'a')).toStrictEqual(object);
	});

	test('frozen objects refuse writes, deep down too', () => {
		const store = new Store<KubeObject & {spec: {list: number[]}}>({freeze: true});
		store.set({...thing('a'), spec: {list: [1]}});
		expect(() => store.get('ns', 'a')?.spec.list.push(2)).toThrow(TypeError);
	});

	test('indexes say the same as looking at every object', () => {
		const change = fc.record({
			name: fc.constantFrom('a', 'b', 'c', 'd'),
			colours: fc.option(fc.uniqueArray(fc.constantFrom('red', 'green', 'blue')), {nil: undefined}),
		});
		fc.assert(
			fc.property(fc.array(change), (changes) => {
				const store = new Store<KubeObject>();
				store.addIndex(byColour);
				for (const {name, colours} of changes) {
					if (colours) store.set(thing(name, {labels: {colours: colours.join(' ')}}));
					else store.remove(`ns/${name}`);
				}
				for (const colour of ['red', 'green', 'blue']) {
					const expected = store.list().filter((object) => byColour.keys(object).includes(colour));
					expect(new Set(store.byIndex('colour', colour))).toEqual(new Set(expected));
				}
			}),
		);
	});
});
