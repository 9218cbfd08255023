import {expect, test} from 'vitest';
import type {NodePlacement} from '../api/cdi-config.ts';
import {placeWorker} from './placement.ts';

const onNode = [{matchFields: [{key: 'metadata.name', operator: 'In', values: ['one']}]}];
const labelled = (key: string) => ({matchExpressions: [{key, operator: 'Exists'}]});
const required = (nodeSelectorTerms: readonly object[]) => ({
	nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms}},
});

test.each<[string, NodePlacement, Parameters<typeof placeWorker>[1], object]>([
	['anywhere', {}, undefined, {}],
	['where its volumes are', {}, onNode, {affinity: required(onNode)}],
	[
		'where the admin wants workers',
		{nodeSelector: {a: 'b'}, tolerations: [{operator: 'Exists'}], affinity: {podAffinity: {}}},
		undefined,
		{nodeSelector: {a: 'b'}, tolerations: [{operator: 'Exists'}], affinity: {podAffinity: {}}},
	],
	[
		'where both is so, whichever terms fit',
		{affinity: required([labelled('x'), labelled('y')])},
		onNode,
		{
			affinity: required([
				{...labelled('x'), ...onNode[0]},
				{...labelled('y'), ...onNode[0]},
			]),
		},
	],
	[
		'where it is needed, and preferably where it is preferred',
		{affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}]}}},
		onNode,
		{
			affinity: {
				nodeAffinity: {
					preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}],
					...required(onNode).nodeAffinity,
				},
			},
		},
	],
])('a worker runs %s', (_, placement, needed, expected) => {
	expect(placeWorker(placement, needed)).toEqual(expected);
});
