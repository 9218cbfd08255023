import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {CommandError, runCommand} from './command.ts';

const signal = AbortSignal.timeout(20_000);

test('returns what the program printed', async () => {
	expect(await runCommand('echo', ['a', '$(b)'], {signal})).toBe('a $(b)\n');
});

test('a failure tells code and standard error', async () => {
	await expect(runCommand('sh', ['-c', 'echo why >&2; exit 3'], {signal})).rejects.toThrow(
		expect.objectContaining({name: 'CommandError', exitCode: 3, stderr: 'why', message: 'sh ended with code 3: why'}),
	);
});

test('a program that is not there is a failure, too', async () => {
	await expect(runCommand('no-such-program', [], {signal})).rejects.toThrow(CommandError);
});

test('an abort kills it', async () => {
	const started = performance.now();
	await expect(runCommand('sleep', ['20'], {signal: AbortSignal.timeout(50)})).rejects.toThrow(/timeout/);
	expect(performance.now() - started).toBeLessThan(5000);
});

test('processor time and memory are limited, and which of them it was is told', async () => {
	const limits = {cpuSeconds: 1, dataBytes: 64 * 1024 * 1024};
	await expect(runCommand('sh', ['-c', 'while :; do :; done'], {signal, limits})).rejects.toThrow(
		expect.objectContaining({killedBy: 'SIGXCPU', exceeded: 'time'}),
	);
	// Who ignores the first signal is ended by the second.
	await expect(runCommand('sh', ['-c', 'trap "" XCPU; while :; do :; done'], {signal, limits})).rejects.toThrow(
		expect.objectContaining({killedBy: 'SIGKILL'}),
	);
	await expect(
		runCommand('dd', ['if=/dev/zero', 'of=/dev/null', 'bs=100M', 'count=1'], {signal, limits}),
	).rejects.toThrow(CommandError);
	await expect(
		runCommand('qemu-img', ['bench', '-d', '1', '-s', '100M', '/dev/zero'], {signal, limits}),
	).rejects.toThrow(expect.objectContaining({exceeded: 'memory'}));
}, 20_000);

test('a program has the other end of a socket', async () => {
	const received: string[] = [];
	await runCommand('sh', ['-c', 'echo question >&3; read answer <&3; echo "$answer" >&3'], {
		signal,
		onSocket(socket) {
			socket.setEncoding('utf8').on('data', (text: string) => received.push(text));
			socket.write('answer\n');
		},
	});
	expect(received.join('')).toBe('question\nanswer\n');
});

test('it runs in no shell, and endless output ends it', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'onesnap-command-'));
	await expect(runCommand('yes', [`; touch ${folder}/file`], {signal})).rejects.toThrow(
		expect.objectContaining({killedBy: 'SIGKILL', exceeded: 'output'}),
	);
	expect(await readdir(folder)).toEqual([]);
	await rm(folder, {recursive: true});
});
