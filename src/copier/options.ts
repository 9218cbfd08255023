/**
 * The task in the environment, checked by hand: a schema library takes longer to load than a small disk to copy.
 * A task that the controller wrote wrongly is a bug of ours, and says which field.
 */
import {type CopierTask, type VolumeMode, workerTaskVariable, type WorkerVolume} from '../api/worker-contract.ts';
import {WorkerError} from '../importer/worker-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads fields one by one and collects what is wrong with them. */
class Fields {
	readonly violations: string[];
	readonly #values: Readonly<Record<string, unknown>>;
	readonly #path: string;

	constructor(value: unknown, path = '', violations: string[] = []) {
		this.violations = violations;
		this.#path = path;
		const isObject = typeof value === 'object' && value !== null;
		this.#values = isObject ? (value as Record<string, unknown>) : {};
		if (!isObject) violations.push(`${path || 'task'}: must be an object`);
	}

	has(name: string): boolean {
		return this.#values[name] !== undefined;
	}

	of(name: string): Fields {
		return new Fields(this.#values[name], this.#name(name), this.violations);
	}

	text(name: string, pattern = /./, words = 'must be a text'): string {
		const value = this.#values[name];
		return typeof value === 'string' && pattern.test(value) ? value : this.#violation(name, words, '');
	}

	number(name: string, min: number, max: number): number {
		const value = this.#values[name];
		const fits = typeof value === 'number' && value >= min && value <= max;
		return fits ? value : this.#violation(name, `must be a number from ${min} to ${max}`, min);
	}

	boolean(name: string): boolean {
		const value = this.#values[name];
		return typeof value === 'boolean' ? value : this.#violation(name, 'must be true or false', false);
	}

	path(name: string): string {
		return this.text(name, /^\//, 'must be an absolute path');
	}

	volume(name: string): WorkerVolume {
		const fields = this.of(name);
		const volumeMode = fields.text('volumeMode', /^(Filesystem|Block)$/, 'must be Filesystem or Block') as VolumeMode;
		return {volumeMode, path: fields.path('path')};
	}

	#name(name: string): string {
		return this.#path === '' ? name : `${this.#path}.${name}`;
	}

	#violation<Value>(name: string, words: string, value: Value): Value {
		this.violations.push(`${this.#name(name)}: ${words}`);
		return value;
	}
}

export function parseCopierTask(env: Environment): CopierTask {
	const text = env[workerTaskVariable];
	if (text === undefined || text === '') {
		throw new WorkerError(
			'Internal',
			`${workerTaskVariable} is not set: this program is started by the onesnap controller.`,
		);
	}
	const fields = new Fields(parseJson(text));
	const task = readTask(fields);
	if (fields.violations.length === 0) return task;
	throw new WorkerError('Internal', `${workerTaskVariable} is no valid task: ${fields.violations.join('; ')}.`);
}

function readTask(fields: Fields): CopierTask {
	const role = fields.text('role', /^(copy|send|receive|measure)$/, 'must be copy, send, receive or measure');
	switch (role) {
		case 'measure':
			return {role, source: fields.volume('source')};
		case 'send':
			return {
				role,
				source: fields.volume('source'),
				ownerUid: fields.text('ownerUid'),
				port: port(fields),
				keyFile: fields.path('keyFile'),
			};
		case 'receive': {
			const sender = fields.of('sender');
			return {
				role,
				sender: {host: sender.text('host'), port: port(sender)},
				keyFile: fields.path('keyFile'),
				...copyTarget(fields),
			};
		}
		default:
			return {role: 'copy', source: fields.volume('source'), ...copyTarget(fields)};
	}
}

function port(fields: Fields): number {
	return fields.number('port', 0, 65_535);
}

function copyTarget(fields: Fields) {
	return {
		target: fields.volume('target'),
		ownerUid: fields.text('ownerUid'),
		requestedBytes: fields.text('requestedBytes', /^0*[1-9]\d{0,14}$/, 'must be a decimal number of bytes above 0'),
		filesystemOverhead: fields.number('filesystemOverhead', 0, 1),
		preallocation: fields.boolean('preallocation'),
		...(fields.has('content') && {content: fields.text('content')}),
	};
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new WorkerError('Internal', `${workerTaskVariable} is no JSON.`, {cause: error});
	}
}
