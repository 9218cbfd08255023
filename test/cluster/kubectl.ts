import {run} from './command.ts';

/** kubectl as one user of one cluster. */
export class Kubectl {
	readonly #program: string;
	readonly #kubeconfig: string;

	constructor(program: string, kubeconfig: string) {
		this.#program = program;
		this.#kubeconfig = kubeconfig;
	}

	run(...args: string[]): Promise<string> {
		return run(this.#program, ['--kubeconfig', this.#kubeconfig, '--request-timeout=10s', ...args]);
	}

	/** The parsed answer of `kubectl get … -o json`. */
	async get(...args: string[]): Promise<unknown> {
		return JSON.parse(await this.run('get', '-o', 'json', ...args));
	}

	async apply(objects: readonly unknown[]): Promise<void> {
		const list = JSON.stringify({apiVersion: 'v1', kind: 'List', items: objects});
		await run(
			this.#program,
			['--kubeconfig', this.#kubeconfig, 'apply', '--server-side', '--force-conflicts', '-f', '-'],
			{input: list},
		);
	}

	async applyFiles(files: readonly string[]): Promise<void> {
		await this.run('apply', '--server-side', '--force-conflicts', ...files.map((file) => `--filename=${file}`));
	}
}
