/** The controller as a program of its own, as it runs in a Pod, against a real API server. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {findFreePort} from '../cluster/free-port.ts';
import {until} from '../cluster/until.ts';

const program = path.resolve(import.meta.dirname, '../../src/bin/controller.ts');

export interface ControllerProcess extends AsyncDisposable {
	readonly identity: string;
	/** Of its health server. */
	readonly url: string;
	/** What it logged, one JSON object a line. */
	readonly log: () => string;
	end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

function hasEnded(child: ChildProcess): boolean {
	return child.exitCode !== null || child.signalCode !== null;
}

/** @param settings more flags of it. Returns when its caches are filled: from then on it leads, or waits until it may. */
export async function startController(
	kubeconfig: string,
	identity: string,
	settings: readonly string[] = [],
): Promise<ControllerProcess> {
	const port = await findFreePort('127.0.0.1');
	const args = [
		program,
		`--kubeconfig=${kubeconfig}`,
		`--identity=${identity}`,
		`--port=${port}`,
		'--worker-image=worker.example.com/worker:test',
		...settings,
	];
	const child = spawn(process.execPath, args, {stdio: ['ignore', 'pipe', 'pipe']});
	let log = '';
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding('utf8').on('data', (text: string) => (log += text));
	}
	const url = `http://127.0.0.1:${port}`;
	const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
		if (hasEnded(child)) return child.exitCode;
		const ended = once(child, 'exit');
		child.kill(signal);
		await ended;
		return child.exitCode;
	};
	await until(`the controller ${identity} is ready`, async () => {
		if (hasEnded(child)) throw new Error(log);
		return (await fetch(`${url}/readyz`)).ok ? true : undefined;
	});
	return {
		identity,
		url,
		log: () => log,
		end,
		async [Symbol.asyncDispose]() {
			await end('SIGKILL');
		},
	};
}
