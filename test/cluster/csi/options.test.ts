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
			otherNodes: [],
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

	it('takes more nodes, each with a socket and perhaps a kubelet, and a topology key', () => {
		const nodes = ['--other-node', 'node2,unix:///run/2.sock,/k2', '--other-node', 'node3,unix:///run/3.sock'];
		expect(parseOptions([...least, ...nodes, '--topology-key', 'example.test/node'])).toMatchObject({
			otherNodes: [
				{nodeId: 'node2', csiSocket: '/run/2.sock', kubeletDir: '/k2'},
				{nodeId: 'node3', csiSocket: '/run/3.sock'},
			],
			topologyKey: 'example.test/node',
		});
	});

	it.each(['node2', 'node2,', ',unix:///2.sock', 'node2,/2.sock', 'node2,unix:///2.sock,/k,more'])(
		'refuses %s as a node',
		(text) => expect(() => parseOptions([...least, '--other-node', text])).toThrow(/--other-node .* has to look like/),
	);

	it('says which option is missing', () => expect(() => parseOptions(least.slice(2))).toThrow('--name is missing'));

	it('wants a socket with its full path', () => {
		expect(() => parseOptions([...least, '--endpoint', 'tcp://127.0.0.1:1'])).toThrow('unix:///path/csi.sock');
	});
});
