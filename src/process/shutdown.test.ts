import {EventEmitter} from 'node:events';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {silentLogger} from './log.ts';
import {listenForShutdown} from './shutdown.ts';

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

function start() {
	const signals = new EventEmitter();
	const exits: number[] = [];
	const exit = (code: number) => exits.push(code);
	const shutdown = listenForShutdown({log: silentLogger, deadlineMs: 1000, exit, signals});
	return {signals, exits, shutdown};
}

test.each(['SIGTERM', 'SIGINT'])('%s asks to stop', (name) => {
	const {signals, exits, shutdown} = start();
	expect(shutdown.signal.aborted).toBe(false);
	signals.emit(name, name);
	expect(shutdown.signal.reason).toMatchObject({name: 'AbortError', message: `shutting down: ${name}`});
	expect(exits).toEqual([]);
});

test('the second signal exits at once', () => {
	const {signals, exits} = start();
	signals.emit('SIGINT', 'SIGINT');
	signals.emit('SIGINT', 'SIGINT');
	expect(exits).toEqual([130]);
});

test('not having stopped in time exits with a failure', () => {
	const {shutdown, exits} = start();
	shutdown.begin('lost leadership');
	shutdown.begin('again');
	vi.advanceTimersByTime(999);
	expect(exits).toEqual([]);
	vi.advanceTimersByTime(1);
	expect(exits).toEqual([1]);
});

test('a program that stopped in good order leaves nothing behind', () => {
	const {signals, shutdown, exits} = start();
	signals.emit('SIGTERM', 'SIGTERM');
	shutdown[Symbol.dispose]();
	vi.advanceTimersByTime(5000);
	expect(exits).toEqual([]);
	expect(signals.listenerCount('SIGTERM')).toBe(0);
});
