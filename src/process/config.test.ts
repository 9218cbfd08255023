import {describe, expect, test} from 'vitest';
import {
	choice,
	ConfigError,
	describeOptions,
	duration,
	integer,
	optionalSecret,
	optionalText,
	parseConfig,
	text,
	toggle,
} from './config.ts';

const options = {
	'log-level': choice({help: 'Least severe level.', choices: ['debug', 'info'], default: 'info', env: 'LOG_LEVEL'}),
	port: integer({help: 'Port of /metrics.', min: 0, max: 65_535, default: 8080, env: 'PORT'}),
	kubeconfig: optionalText({help: 'Path of a kubeconfig.', env: 'KUBECONFIG'}),
	image: text({help: 'Image of the worker.', env: 'WORKER_IMAGE'}),
	deadline: duration({help: 'Time for a round.', default: 120_000, minMs: 1000}),
	'leader-election': toggle({help: 'Only one replica works.', default: true, env: 'LEADER_ELECTION'}),
};

function parse(args: string[], env: Record<string, string> = {}) {
	return parseConfig(options, {args, env});
}

function mistakes(args: string[], env: Record<string, string> = {}): readonly string[] {
	try {
		parse(args, env);
	} catch (error) {
		if (error instanceof ConfigError) return error.mistakes;
		throw error;
	}
	return [];
}

describe('parseConfig', () => {
	test('takes the flag, else the environment, else the default', () => {
		const config = parse(['--port=9090', '--image', 'x'], {PORT: '1', LOG_LEVEL: 'debug', KUBECONFIG: ''});
		expect(config).toEqual({
			'log-level': 'debug',
			port: 9090,
			kubeconfig: undefined,
			image: 'x',
			deadline: 120_000,
			'leader-election': true,
		});
	});

	test.each([
		[['--leader-election'], {}, true],
		[['--no-leader-election'], {}, false],
		[[], {LEADER_ELECTION: 'false'}, false],
	])('a switch: %j %j', (args, env, expected) => {
		expect(parse(['--image=x', ...args], env)['leader-election']).toBe(expected);
	});

	test.each([
		['500ms', 500, undefined],
		['15s', 15_000, undefined],
		['5m', 300_000, undefined],
		['1h', 3_600_000, undefined],
	])('a duration: %s', (input, expected) => {
		const set = {wait: duration({help: ''})};
		expect(parseConfig(set, {args: [`--wait=${input}`], env: {}}).wait).toBe(expected);
	});

	test('tells all mistakes at once, by the name that was written', () => {
		expect(mistakes(['--log-level=loud', '--deadline=1'], {PORT: '70000', LEADER_ELECTION: 'yes'})).toEqual([
			'--log-level must be one of debug, info, not "loud"',
			'PORT must be a whole number from 0 to 65535, not "70000"',
			'--image (or WORKER_IMAGE) is missing',
			'--deadline must be a duration such as 500ms, 15s, 5m, at least 1000ms, not "1"',
			'LEADER_ELECTION must be true or false, not "yes"',
		]);
	});

	test('a value that may have a password in it is not repeated', () => {
		const check = () => {
			throw new Error('a URL');
		};
		const set = {proxy: optionalSecret({help: 'Proxy', env: 'PROXY'}, check)};
		expect(() => parseConfig(set, {args: ['--proxy=s3cret'], env: {}})).toThrow(/^--proxy must be a URL$/);
		expect(() => parseConfig(set, {args: [], env: {PROXY: 's3cret'}})).toThrow(/^PROXY must be a URL$/);
	});

	test('an unknown flag and a stray word are mistakes', () => {
		expect(mistakes(['--image=x', '--imgae=y'])[0]).toContain("Unknown option '--imgae'");
		expect(mistakes(['--image=x', 'y'])[0]).toContain("Unexpected argument 'y'");
	});
});

test('--help lists every option with its environment variable and default', () => {
	const help = describeOptions(options);
	expect(help).toContain('--port\n      Port of /metrics. (environment PORT, default 8080)');
	expect(help).toContain('--image\n      Image of the worker. (environment WORKER_IMAGE)');
});
