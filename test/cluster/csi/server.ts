import {rm} from 'node:fs/promises';
import {
	Server,
	ServerCredentials,
	status,
	type UntypedServiceImplementation,
	type sendUnaryData,
	type ServerUnaryCall,
} from '@grpc/grpc-js';
import {type AnyDefinition, load, type PackageDefinition, type ServiceDefinition} from '@grpc/proto-loader';
import {type Handler, type Handlers, type Interceptor, type RpcCall, runThrough} from './chain.ts';
import {CsiError, toCsiError} from './errors.ts';

/** Messages look as messages.ts says. */
const asInMessages = {keepCase: true, longs: Number, enums: String, defaults: false} as const;

export async function loadDefinitions(protoFile: string): Promise<PackageDefinition> {
	return load(protoFile, asInMessages);
}

type GrpcService = {
	/** Full name, as `csi.v1.Controller`. */
	readonly name: string;
	readonly definitions: PackageDefinition;
	readonly handlers: Handlers;
	/** Run around every call of the service, the first outermost. */
	readonly interceptors: readonly Interceptor[];
};

export type RunningServer = {readonly stop: () => Promise<void>};

/** Longest path that fits sockaddr_un. */
const maxSocketPathBytes = 107;
/** How long calls that are running at a stop may take to end; a retry finds whatever state they leave. */
const stopWithinMs = 5000;

/** Serves gRPC on a Unix socket until it is stopped, which removes the socket. */
export async function serve(socketPath: string, services: readonly GrpcService[]): Promise<RunningServer> {
	if (Buffer.byteLength(socketPath) > maxSocketPathBytes) {
		throw new Error(`${socketPath} is too long for a Unix socket: at most ${maxSocketPathBytes} bytes`);
	}
	const server = new Server();
	for (const service of services) addService(server, service);
	// A killed driver leaves its socket behind, and a socket can be bound only where nothing is.
	await rm(socketPath, {force: true});
	await new Promise<void>((resolve, reject) => {
		const bound = (error: Error | null) => (error ? reject(error) : resolve());
		server.bindAsync(`unix://${socketPath}`, ServerCredentials.createInsecure(), bound);
	});
	return {
		stop: async () => {
			await stopServer(server);
			await rm(socketPath, {force: true});
		},
	};
}

async function stopServer(server: Server): Promise<void> {
	await new Promise<void>((resolve) => {
		const deadline = setTimeout(() => {
			server.forceShutdown();
			resolve();
		}, stopWithinMs);
		server.tryShutdown(() => {
			clearTimeout(deadline);
			resolve();
		});
	});
}

/** Every method of the service gets an implementation, so that calls of missing ones pass the interceptors as well. */
function addService(server: Server, {name, definitions, handlers, interceptors}: GrpcService): void {
	const definition = definitions[name];
	if (!isService(definition)) throw new Error(`the proto file has no service ${name}`);
	const implementation: UntypedServiceImplementation = {};
	for (const [rpc, {requestStream, responseStream}] of Object.entries(definition)) {
		if (requestStream || responseStream) continue;
		const handler = handlers[rpc] ?? unimplemented(rpc);
		implementation[rpc] = (call: ServerUnaryCall<object, object>, respond: sendUnaryData<object>) => {
			const rpcCall: RpcCall = {service: name, rpc, request: call.request, notes: {}};
			const handle = async () => handler(rpcCall.request, rpcCall.notes);
			runThrough(interceptors, rpcCall, handle).then(
				(response) => respond(null, response),
				(error: unknown) => respond(toStatus(error)),
			);
		};
	}
	server.addService(definition, implementation);
}

export function isService(definition: AnyDefinition | undefined): definition is ServiceDefinition {
	return definition !== undefined && !('format' in definition);
}

function unimplemented(rpc: string): Handler {
	return () => {
		throw new CsiError('UNIMPLEMENTED', `this driver has no ${rpc}`);
	};
}

function toStatus(error: unknown): {code: status; details: string} {
	const {code, message} = toCsiError(error);
	return {code: status[code], details: message};
}
