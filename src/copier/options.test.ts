import {expect, test} from 'vitest';
import {type CopierTask, workerTaskVariable} from '../api/worker-contract.ts';
import {parseCopierTask} from './options.ts';

const volume = {volumeMode: 'Block', path: '/dev/target'} as const;
const sizes = {ownerUid: 'uid', requestedBytes: '1024', filesystemOverhead: 0.06, preallocation: false};
const parse = (task: unknown) => parseCopierTask({[workerTaskVariable]: JSON.stringify(task)});

test.each<[CopierTask]>([
	[{role: 'copy', source: {volumeMode: 'Filesystem', path: '/source'}, target: volume, ...sizes}],
	[{role: 'copy', source: volume, target: volume, ...sizes, content: 'a/b'}],
	[{role: 'measure', source: {volumeMode: 'Filesystem', path: '/source'}}],
	[{role: 'send', source: volume, ownerUid: 'uid', port: 8443, keyFile: '/copy-key/key'}],
	[{role: 'receive', sender: {host: '10.0.0.1', port: 8443}, keyFile: '/copy-key/key', target: volume, ...sizes}],
])('a task of role $role is taken as it is', (task) => {
	expect(parse(task)).toEqual(task);
});

test.each<[string, unknown, RegExp]>([
	['no object', 7, /task: must be an object/],
	['no role', {}, /role: must be copy, send, receive or measure/],
	[
		'a relative path',
		{role: 'send', source: {volumeMode: 'Block', path: 'x'}},
		/source\.path: must be an absolute path/,
	],
	[
		'another mode',
		{role: 'send', source: {volumeMode: 'block', path: '/x'}},
		/source\.volumeMode: must be Filesystem or Block/,
	],
	['no size', {role: 'copy', source: volume, target: volume, ...sizes, requestedBytes: '0'}, /requestedBytes: must be/],
	[
		'a size as a number',
		{role: 'copy', source: volume, target: volume, ...sizes, requestedBytes: 5},
		/requestedBytes: must be/,
	],
	[
		'an overhead of more than all',
		{role: 'copy', source: volume, target: volume, ...sizes, filesystemOverhead: 2},
		/filesystemOverhead: must be a number from 0 to 1/,
	],
	['no sender', {role: 'receive', keyFile: '/k', target: volume, ...sizes}, /sender: must be an object/],
	['a port that is none', {role: 'send', source: volume, ownerUid: 'u', keyFile: '/k', port: 70_000}, /port: must be/],
])('%s is refused, by field', (_, task, message) => {
	expect(() => parse(task)).toThrow(message);
});

test('no task, and none in JSON', () => {
	expect(() => parseCopierTask({})).toThrow('is not set');
	expect(() => parseCopierTask({[workerTaskVariable]: '{'})).toThrow('is no JSON');
});
