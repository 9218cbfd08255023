import {describe, expect, it} from 'vitest';
import {countKey, type Failure, type FaultSettings, faultsOf, isAbout, parseFaultSettings} from './faults.ts';

const failure: Failure = {method: 'CreateVolume', code: 'ABORTED', times: 2};

describe('parseFaultSettings', () => {
	it('takes every switch', () => {
		const settings: FaultSettings = {
			noListSnapshots: true,
			all: {
				fail: [{...failure, id: 'x', source: 'snapshot', when: 'after', message: 'on fire'}],
				delay: [{method: 'CreateSnapshot', ms: 100, times: 'always'}],
				cutMs: 2000,
				notReadyMs: 5000,
				noRestoreSize: true,
				equalSizeRestore: true,
				maxSnapshots: 3,
				betweenCutsMs: 15_000,
				restoreLockMs: 300,
				vanished: ['snapshot-1'],
				clonesDepend: true,
			},
			volumes: {'pvc-1': {cutMs: 0}},
		};
		expect(parseFaultSettings(JSON.stringify(settings))).toEqual(settings);
	});

	it.each([
		['no JSON', '{"all": ', /JSON/],
		['an unknown switch', {all: {slow: true}}, /slow[^]*at all/],
		['an unknown key beside', {everything: {}}, /everything/],
		['a switch that stands beside `all`', {cutMs: 1}, /cutMs/],
		['an unknown RPC', {all: {fail: [{...failure, method: 'MakeCoffee'}]}}, /at all\.fail\[0\]\.method/],
		['an unknown code', {all: {fail: [{...failure, code: 'BROKEN'}]}}, /name of a gRPC status[^]*all\.fail\[0\]\.code/],
		['OK as a failure', {all: {fail: [{...failure, code: 'OK'}]}}, /other than OK/],
		['a code by its number', {all: {fail: [{...failure, code: '10'}]}}, /name of a gRPC status/],
		['a failure that never happens', {all: {fail: [{...failure, times: 0}]}}, /times/],
		['a failure without times', {all: {fail: [{method: 'CreateVolume', code: 'ABORTED'}]}}, /times/],
		['a negative time', {volumes: {v: {notReadyMs: -1}}}, /volumes\.v\.notReadyMs/],
		['room for no snapshot', {all: {maxSnapshots: 0}}, /maxSnapshots/],
	])('says what is wrong with %s', (_, file, message) => {
		const text = typeof file === 'string' ? file : JSON.stringify(file);
		expect(() => parseFaultSettings(text)).toThrow(message);
	});
});

describe('faultsOf', () => {
	const other: Failure = {...failure, code: 'INTERNAL'};
	const settings: FaultSettings = {
		all: {cutMs: 1, notReadyMs: 1, fail: [failure]},
		volumes: {v: {notReadyMs: 2, fail: [other], vanished: ['s']}},
	};

	it.each<[string, FaultSettings, string | undefined, object]>([
		['what holds for all', settings, 'w', {cutMs: 1, notReadyMs: 1, fail: [failure], vanished: []}],
		['also for a volume nobody knows', settings, undefined, {cutMs: 1, fail: [failure]}],
		['the volume’s own before it, lists joined', settings, 'v', {cutMs: 1, notReadyMs: 2, fail: [failure, other]}],
		['nothing', {}, 'v', {fail: [], delay: [], vanished: []}],
		['nothing for a name that every object has', {volumes: {}}, 'constructor', {fail: [], delay: [], vanished: []}],
	])('gives %s', (_, file, volume, expected) => expect(faultsOf(file, volume)).toMatchObject(expected));
});

describe('isAbout', () => {
	it.each<[boolean, Partial<Failure>, Parameters<typeof isAbout>[1]]>([
		[true, {}, {rpc: 'CreateVolume', source: 'none'}],
		[true, {}, {rpc: 'CreateVolume', source: 'snapshot'}],
		[false, {}, {rpc: 'DeleteVolume', source: 'none'}],
		[true, {source: 'snapshot'}, {rpc: 'CreateVolume', source: 'snapshot'}],
		[false, {source: 'snapshot'}, {rpc: 'CreateVolume', source: 'volume'}],
		[false, {source: 'none'}, {rpc: 'CreateVolume', source: 'snapshot'}],
	])('is %s for %o and %o', (expected, changes, call) => {
		expect(isAbout({...failure, ...changes}, call)).toBe(expected);
	});
});

describe('countKey', () => {
	it('is the id, or the entry itself', () => {
		expect(countKey({...failure, id: 'x'})).toBe('x');
		expect(countKey(failure)).not.toBe(countKey({...failure, times: 3}));
	});
});
