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
	readonly snapshots: boolean;
	/** Fault switches, see faults.ts. Default: none. The file need not exist; beside it, counts are kept. */
	readonly faults?: string;
	/** Default: from the local cluster's cache, definitions.ts. */
	readonly csiProto?: string;
	readonly registrationProto?: string;
};

const usage = `main.ts --name NAME --node-id NODE --pool DIR --endpoint unix:///path/csi.sock --journal FILE.jsonl
        [--kubelet-dir DIR] [--no-snapshots] [--faults FILE.json] [--csi-proto FILE --registration-proto FILE]`;

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
	const csiSocket = /^unix:\/\/(\/.+)$/.exec(need('endpoint'))?.[1];
	if (!csiSocket) throw new Error(`--endpoint ${values.endpoint} has to look like unix:///path/csi.sock`);
	return {
		name: need('name'),
		nodeId: need('node-id'),
		pool: need('pool'),
		csiSocket,
		journal: need('journal'),
		snapshots: !values['no-snapshots'],
		...(values['kubelet-dir'] && {kubeletDir: values['kubelet-dir']}),
		...(values.faults && {faults: values.faults}),
		...(values['csi-proto'] && {csiProto: values['csi-proto']}),
		...(values['registration-proto'] && {registrationProto: values['registration-proto']}),
	};
}
