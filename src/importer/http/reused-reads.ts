/**
 * Connections that are read into the same memory over and over. Node takes new memory for each 64 KiB that it reads, and
 * getting rid of that takes longer than all else that an import does with them.
 *
 * Safe because Node's HTTP parser gives on copies of a body's bytes: it is done with the memory when it returns. The test
 * holds Node to it.
 */
import type {Agent, ClientRequestArgs} from 'node:http';
import type {OnReadOpts, Socket} from 'node:net';

const readBytes = 128 * 1024;

/** For every connection that the agent makes from now on. */
export function reuseReads(agent: Agent): void {
	const create = agent.createConnection.bind(agent);
	agent.createConnection = (options, callback) => {
		const memory = Buffer.allocUnsafeSlow(readBytes);
		const onread: OnReadOpts = {
			buffer: memory,
			callback(bytes) {
				socket.emit('data', memory.subarray(0, bytes));
				return true;
			},
		};
		const withMemory: ClientRequestArgs & {onread: OnReadOpts} = {...options, onread};
		// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Node's own agents return the socket that they made
		const socket = create(withMemory, callback) as Socket;
		return socket;
	};
}
