import {describe, expect, test} from 'vitest';
import {claim, type ClaimOptions, dataVolume, madeFor} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {type ClaimStanding, isLeftAlone, isPrePopulated, standingOf} from './claim-standing.ts';

const adopts = (value: string) => dataVolume({annotations: {[annotations.allowClaimAdoption]: value}});
const plain = dataVolume();
const made = {annotations: {[annotations.createdForDataVolume]: 'disk-uid'}};
const populated = {annotations: {[annotations.populatedFor]: 'disk'}};
const vm = {apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: {name: 'vm', uid: 'vm-uid'}};

interface Row {
	readonly what: string;
	readonly of?: typeof plain;
	readonly claim?: ClaimOptions;
	readonly gate?: boolean;
	readonly is: ClaimStanding;
}

const rows: readonly Row[] = [
	{what: 'made for it', claim: {owner: plain}, is: 'own'},
	{what: 'made for it, whose owner reference somebody took away', claim: made, is: 'own'},
	{what: 'made for it, whatever it says of adoption', of: adopts('true'), claim: made, is: 'own'},
	{
		what: 'controlled by it, and made for an earlier one',
		claim: {owner: plain, annotations: {[annotations.createdForDataVolume]: 'old'}},
		is: 'adopted',
	},
	{what: "nobody's", is: 'foreign'},
	{what: "nobody's, adoption allowed", of: adopts('true'), is: 'adoptable'},
	{what: "nobody's, adoption allowed in Go's short form", of: adopts('T'), is: 'adoptable'},
	{what: "nobody's, the gate open", gate: true, is: 'adoptable'},
	{what: "nobody's, the gate open and adoption forbidden", of: adopts('false'), gate: true, is: 'foreign'},
	{what: "nobody's, and what is said of adoption is no boolean", of: adopts('yes'), gate: true, is: 'foreign'},
	{what: "nobody's, with its content", claim: populated, is: 'adoptable'},
	{
		what: "nobody's, with the content of another one",
		claim: {annotations: {[annotations.populatedFor]: 'other'}},
		is: 'foreign',
	},
	{what: "a virtual machine's", of: adopts('true'), claim: {...populated, owner: vm}, is: 'foreign'},
	{
		what: 'of an earlier DataVolume of its name',
		of: adopts('true'),
		claim: {owner: dataVolume({uid: 'old'})},
		is: 'predecessors',
	},
	{
		what: 'of another DataVolume',
		of: adopts('true'),
		claim: {owner: dataVolume({name: 'other'})},
		is: 'foreign',
	},
	{
		what: 'orphaned by an earlier DataVolume',
		of: adopts('true'),
		claim: {annotations: {[annotations.createdForDataVolume]: 'old'}},
		is: 'adoptable',
	},
	{what: 'what another claim is filled from', of: adopts('true'), claim: madeFor(claim()), is: 'foreign'},
];

describe('a claim', () => {
	test.each(rows)('$what is $is', ({of = plain, claim: options = {}, gate = false, is}) => {
		expect(standingOf(claim({name: 'disk', ...options}), of, gate)).toBe(is);
	});

	test('of somebody else, or for which somebody else answers, is left alone', () => {
		const own = claim({name: 'disk', owner: plain});
		expect(isLeftAlone(own, plain)).toBe(false);
		expect(isLeftAlone(claim({name: 'disk', annotations: {}}), plain)).toBe(true);
		expect(isLeftAlone(claim({name: 'disk', owner: plain, ...populated}), plain)).toBe(true);
		const given = dataVolume({annotations: {[annotations.prePopulated]: ''}});
		expect(isPrePopulated(given)).toBe(true);
		expect(isLeftAlone(own, given)).toBe(true);
	});
});
