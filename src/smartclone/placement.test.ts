import {describe, expect, test} from 'vitest';
import {csiNode, driver, node, volume} from '../../test/support/builders.ts';
import type {NodeSelectorTerm} from '../api/kubernetes.ts';
import {chooseNode} from './placement.ts';

const anywhere = {driver, sourceVolume: undefined};
const only = (...terms: NodeSelectorTerm[]) => ({
	driver,
	sourceVolume: volume({nodeAffinity: {required: {nodeSelectorTerms: terms}}}),
});
const inZone = (...values: string[]): NodeSelectorTerm => ({matchExpressions: [{key: 'zone', operator: 'In', values}]});

describe('chooseNode', () => {
	const [a, b] = [node({name: 'a', labels: {zone: 'east'}}), node({name: 'b', labels: {zone: 'west'}})];
	const drivers = [csiNode('a'), csiNode('b')];

	test.each([
		['the first by name', [b, a], drivers, anywhere, 'a'],
		['one that has the driver', [a, b], [csiNode('a', ['other']), csiNode('b')], anywhere, 'b'],
		['one that is ready', [node({name: 'a', ready: false}), b], drivers, anywhere, 'b'],
		['one that takes Pods', [node({name: 'a', unschedulable: true}), b], drivers, anywhere, 'b'],
		['one from which the source can be reached', [a, b], drivers, only(inZone('west')), 'b'],
		['one that fits any of several terms', [a, b], drivers, only(inZone('north'), inZone('west', 'south')), 'b'],
		['none where the source is reached from nowhere', [a, b], drivers, only(inZone('north')), undefined],
		['none where nobody has the driver', [a, b], [], anywhere, undefined],
		[
			'none for a term that selects by another field than labels',
			[a, b],
			drivers,
			only({matchFields: [{key: 'metadata.name', operator: 'In', values: ['c']}]}),
			undefined,
		],
	])('takes %s', (_, nodes, csiNodes, wanted, name) => {
		expect(chooseNode(nodes, csiNodes, wanted)).toBe(name);
	});

	test.each<[operator: string, values: readonly string[] | undefined, fits: readonly string[]]>([
		['In', ['east', '7'], ['east', '7']],
		['NotIn', ['east'], ['7', 'none']],
		['Exists', undefined, ['east', '7']],
		['DoesNotExist', undefined, ['none']],
		['Gt', ['6'], ['7']],
		['Lt', ['8'], ['7']],
		['Lt', ['7'], []],
		['Near', ['east'], []],
	])('reads the operator %s %s of a node selector as Kubernetes does', (operator, values, names) => {
		const zones = {east: 'east', 7: '7', none: undefined};
		const fitting = Object.entries(zones).filter(([name, zone]) => {
			const one = node({name, ...(zone && {labels: {zone}})});
			const term = {matchExpressions: [{key: 'zone', operator, ...(values && {values})}]};
			return chooseNode([one], [csiNode(name)], only(term)) === name;
		});
		expect(fitting.map(([name]) => name).toSorted()).toEqual([...names].toSorted());
	});

	test('a term that asks for nothing fits nothing', () => {
		expect(chooseNode([a], drivers, only({}))).toBeUndefined();
	});
});
