/**
 * Loaded into the controller before its own code (`node --import`): counts its writes as the API server answers them, and
 * at the one that it was told of ends the process. The head of the answer has come then, so the server has stored the
 * write; no code of the program has run since. Every write is noted in a file first, for whoever waits outside.
 */
import {subscribe} from 'node:diagnostics_channel';
import {appendFileSync} from 'node:fs';
import type {ClientRequest, IncomingMessage} from 'node:http';
import {isThere, parseCrashOrders} from './crash-point.ts';
import {describeWrite} from './writes.ts';

const {point, writesFile} = parseCrashOrders(process.env);
const bodies = new WeakMap<ClientRequest, string>();
const seen: string[] = [];

/** The one place where a body passes before it is sent. Our client gives it whole to `end`. */
function keepBody(request: ClientRequest): void {
	const end = request.end.bind(request) as (...given: unknown[]) => ClientRequest;
	request.end = (chunk?: unknown, ...rest: unknown[]) => {
		if (Buffer.isBuffer(chunk)) bodies.set(request, chunk.toString('utf8'));
		return end(chunk, ...rest);
	};
}

function answered(request: ClientRequest, {statusCode = 0}: IncomingMessage): void {
	// What was refused was not written.
	if (statusCode < 200 || statusCode >= 300) return;
	const text = bodies.get(request);
	const {method, path} = request;
	const description = describeWrite({method, path, ...(text && {body: JSON.parse(text) as unknown})});
	if (description === undefined) return;
	seen.push(description);
	appendFileSync(writesFile, `${description}\n`);
	if (!isThere(point, seen)) return;
	if (point.how === 'answer lost') request.destroy(new Error('the answer was lost on its way'));
	else process.kill(process.pid, 'SIGKILL');
}

subscribe('http.client.request.created', (message) => {
	keepBody((message as {request: ClientRequest}).request);
});
subscribe('http.client.response.finish', (message) => {
	const {request, response} = message as {request: ClientRequest; response: IncomingMessage};
	answered(request, response);
});
