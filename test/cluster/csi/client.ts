import {Client, credentials, Metadata, type ServiceError} from '@grpc/grpc-js';
import type {Snapshot, Volume} from './messages.ts';
import {isService, loadDefinitions} from './server.ts';

/** The fields of all responses that callers here look at. */
export type CsiResponse = {
	readonly volume?: Volume;
	readonly snapshot?: Snapshot;
	readonly entries?: readonly {readonly volume?: Volume; readonly snapshot?: Snapshot}[];
	readonly next_token?: string;
};

/** Longer than any call takes on a busy machine. */
const mostMs = 120_000;

/** Calls a CSI driver as a sidecar or the kubelet would. */
export type CsiClient = {
	/** `rpc` with its service: `Controller/CreateVolume`. Rejects with grpc-js' ServiceError. */
	readonly call: (rpc: string, request: object) => Promise<CsiResponse>;
	readonly close: () => void;
};

export async function connect(csiSocket: string, csiProto: string): Promise<CsiClient> {
	const definitions = await loadDefinitions(csiProto);
	const client = new Client(`unix://${csiSocket}`, credentials.createInsecure(), {
		'grpc.max_reconnect_backoff_ms': 500,
	});
	// A driver that is just being started is waited for, and not told of as one that said no.
	const metadata = new Metadata({waitForReady: true});
	return {
		call: (rpc, request) => {
			const [service = '', name = ''] = rpc.split('/');
			const definition = definitions[`csi.v1.${service}`];
			const method = isService(definition) ? definition[name] : undefined;
			if (!method) throw new Error(`csi.proto has no ${rpc}`);
			const {path, requestSerialize, responseDeserialize} = method;
			return new Promise((resolve, reject) => {
				const done = (error: ServiceError | null, response?: object) =>
					error ? reject(error) : resolve({...response});
				const options = {deadline: Date.now() + mostMs};
				client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, done);
			});
		},
		close: () => client.close(),
	};
}
