import {once} from 'node:events';
import {createServer} from 'node:net';

/** A TCP port that nobody listens on at this moment. Another process may take it before it is used: the caller must cope with that. */
export async function findFreePort(address: string): Promise<number> {
	const server = createServer();
	server.listen(0, address);
	await once(server, 'listening');
	const bound = server.address();
	server.close();
	await once(server, 'close');
	if (bound === null || typeof bound === 'string') throw new Error(`no port on ${address}`);
	return bound.port;
}
