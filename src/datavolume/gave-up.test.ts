import * as fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {dataVolume} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {cloneWays} from '../smartclone/strategy.ts';
import {describeGaveUp, formatGaveUp, gaveUpOf, type GaveUp, isGivenUp, nothingGivenUp, withWay} from './gave-up.ts';

const carrying = (text: string, uid = 'disk-uid') => dataVolume({uid, annotations: {[annotations.gaveUp]: text}});
const bySnapshot = {way: 'snapshot', code: 'OutOfRange', message: 'too small'} as const;

describe('what a clone has tried in vain', () => {
	test('is read as it was written', () => {
		const gaveUp: GaveUp = {ways: [bySnapshot], lostClaim: 'claim-uid'};
		expect(gaveUpOf(carrying(formatGaveUp('disk-uid', gaveUp)))).toEqual(gaveUp);
		expect(gaveUpOf(dataVolume())).toEqual(nothingGivenUp);
	});

	test('is not inherited with the YAML of another DataVolume', () => {
		const text = formatGaveUp('disk-uid', {ways: [bySnapshot]});
		expect(gaveUpOf(carrying(text, 'other-uid'))).toEqual(nothingGivenUp);
	});

	test.each([
		'',
		'{',
		'null',
		'[]',
		'"snapshot"',
		'{"ways":[{"way":"snapshot","code":"a","message":"b"}]}',
		'{"uid":"disk-uid"}',
		'{"uid":"disk-uid","ways":"snapshot"}',
		'{"uid":"disk-uid","ways":[null,1,{"way":"magic","code":"a","message":"b"},{"way":"snapshot"}]}',
		'{"uid":"disk-uid","ways":[{"way":"copy","code":1,"message":"b"}],"lostClaim":7}',
	])('is nothing where the annotation is %s', (text) => {
		expect(gaveUpOf(carrying(text))).toEqual(nothingGivenUp);
	});

	test('is one entry a way, and short, whatever is written', () => {
		const way = fc.record({
			way: fc.constantFrom(...cloneWays),
			code: fc.string(),
			message: fc.string({maxLength: 900}),
		});
		fc.assert(
			fc.property(fc.array(way, {maxLength: 20}), (ways) => {
				const text = formatGaveUp('disk-uid', gaveUpOf(carrying(JSON.stringify({uid: 'disk-uid', ways}))));
				expect(text.length).toBeLessThan(8000);
				expect(gaveUpOf(carrying(text)).ways.length).toBeLessThanOrEqual(cloneWays.length);
			}),
		);
	});

	test('keeps the newest reason for a way', () => {
		const twice = withWay(withWay(nothingGivenUp, bySnapshot), {...bySnapshot, code: 'Unimplemented'});
		expect(twice.ways).toEqual([{...bySnapshot, code: 'Unimplemented'}]);
		expect(isGivenUp(twice, 'snapshot')).toBe(true);
		expect(isGivenUp(twice, 'copy')).toBe(false);
		expect(describeGaveUp(twice)).toBe('snapshot (Unimplemented: too small)');
	});
});
