import {expect, it} from 'vitest';
import {GiveUp, until} from './until.ts';

const fast = {timeoutMs: 20, intervalMs: 1};

it('asks until there is an answer, through errors', async () => {
	let calls = 0;
	const attempt = async () => {
		calls++;
		if (calls === 1) throw new Error('not listening');
		return calls === 3 ? 'yes' : undefined;
	};
	expect(await until('it answers', attempt, {intervalMs: 1})).toBe('yes');
});

it('says at the end what the last attempt met', async () => {
	const attempt = async () => {
		throw new Error('not listening');
	};
	await expect(until('the server answers', attempt, fast)).rejects.toThrow(
		'the server answers: not so after 0.02 s: not listening',
	);
});

it('does not wait for what cannot come', async () => {
	let calls = 0;
	const attempt = async () => {
		calls++;
		throw new GiveUp('it has ended');
	};
	await expect(until('it answers', attempt)).rejects.toThrow('it has ended');
	expect(calls).toBe(1);
});
