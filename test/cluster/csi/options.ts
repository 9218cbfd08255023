import {parseArgs} from 'node:util';

export type DriverOptions = {
	/** The provisioner of a StorageClass. Several drivers may run side by side, each with a name of its own. */
	readonly name: string;
	readonly nodeId: string;
	/** A folder on xfs with reflink. */
	readonly pool: string;
	/** Where the CSI services are served. */
	readonly csiSocket: string;
	readonly journal: string;
	/** Where to register with a kubelet: its --root-dir. */
	readonly kubeletDir?: string;
	/** More nodes that this process serves: their Node services share its locks, and so may share its pool. */
	readonly otherNodes: readonly DriverNode[];
	/** With it, volumes are local to a node: each node has a pool of its own in the pool folder, and is a segment of this key. */
	readonly topologyKey?: string;
	readonly snapshots: boolean;
	/** Fault switches, see faults.ts. Default: none. The file need not exist; beside it, counts are kept. */
	readonly faults?: string;
	/** Default: from the local cluster's cache, definitions.ts. */
	readonly csiProto?: string;
	readonly registrationProto?: string;
};

/** A node besides the first: it is served on a socket of its own. */
export type DriverNode = Pick<DriverOptions, 'nodeId' | 'csiSocket' | 'kubeletDir'>;

const usage = `main.ts --name NAME --node-id NODE --pool DIR --endpoint unix:///path/csi.sock --journal FILE.jsonl
        [--kubelet-dir DIR] [--other-node ID,unix:///path/csi.sock[,KUBELET-DIR] ...] [--topology-key KEY] [--no-snapshots]
        [--faults FILE.json] [--csi-proto FILE --registration-proto FILE]`;

export function parseOptions(args: readonly string[]): DriverOptions {
	const {values} = parseArgs({
		args: [...args],
		options: {
			name: {type: 'string'},
			'node-id': {type: 'string'},
			pool: {type: 'string'},
			endpoint: {type: 'string'},
			journal: {type: 'string'},
			'kubelet-dir': {type: 'string'},
			'other-node': {type: 'string', multiple: true, default: []},
			'topology-key': {type: 'string'},
			'no-snapshots': {type: 'boolean', default: false},
			faults: {type: 'string'},
			'csi-proto': {type: 'string'},
			'registration-proto': {type: 'string'},
		},
	});
	const need = (option: 'name' | 'node-id' | 'pool' | 'endpoint' | 'journal') => {
		const value = values[option];
		if (value) return value;
		throw new Error(`--${option} is missing\nusage: ${usage}`);
	};
	return {
		name: need('name'),
		nodeId: need('node-id'),
		pool: need('pool'),
		csiSocket: parseEndpoint('endpoint', need('endpoint')),
		journal: need('journal'),
		otherNodes: values['other-node'].map(parseNode),
		snapshots: !values['no-snapshots'],
		...(values['kubelet-dir'] && {kubeletDir: values['kubelet-dir']}),
		...(values['topology-key'] && {topologyKey: values['topology-key']}),
		...(values.faults && {faults: values.faults}),
		...(values['csi-proto'] && {csiProto: values['csi-proto']}),
		...(values['registration-proto'] && {registrationProto: values['registration-proto']}),
	};
}

function parseEndpoint(option: string, text: string): string {
	const socket = /^unix:\/\/(\/.+)$/.exec(text)?.[1];
	if (socket) return socket;
	throw new Error(`--${option} ${text} has to look like unix:///path/csi.sock`);
}

function parseNode(text: string): DriverNode {
	const [nodeId, endpoint, kubeletDir, ...more] = text.split(',');
	if (!nodeId || !endpoint || more.length > 0) {
		throw new Error(`--other-node ${text} has to look like ID,unix:///path/csi.sock[,KUBELET-DIR]\nusage: ${usage}`);
	}
	return {nodeId, csiSocket: parseEndpoint('other-node', endpoint), ...(kubeletDir && {kubeletDir})};
}
