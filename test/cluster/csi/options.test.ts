import {describe, expect, it} from 'vitest';
import {parseOptions} from './options.ts';

const least = [
	'--name',
	'n',
	'--node-id',
	'node1',
	'--pool',
	'/p',
	'--endpoint',
	'unix:///run/csi.sock',
	'--journal',
	'/j',
];

describe('parseOptions', () => {
	it('takes the least there must be', () => {
		expect(parseOptions(least)).toEqual({
			name: 'n',
			nodeId: 'node1',
			pool: '/p',
			csiSocket: '/run/csi.sock',
			journal: '/j',
			snapshots: true,
		});
	});

	it('takes everything', () => {
		const files = ['--faults', '/f', '--csi-proto', '/c', '--registration-proto', '/r'];
		expect(parseOptions([...least, '--kubelet-dir', '/k', '--no-snapshots', ...files])).toMatchObject({
			kubeletDir: '/k',
			snapshots: false,
			faults: '/f',
			csiProto: '/c',
			registrationProto: '/r',
		});
	});

	it('says which option is missing', () => expect(() => parseOptions(least.slice(2))).toThrow('--name is missing'));

	it('wants a socket with its full path', () => {
		expect(() => parseOptions([...least, '--endpoint', 'tcp://127.0.0.1:1'])).toThrow('unix:///path/csi.sock');
	});
});
