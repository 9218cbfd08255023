import {expect, test} from 'vitest';
import {CommandError} from '../command.ts';
import {failureOfReading, type ReadingFacts} from './image-failure.ts';
import {WorkerError} from '../worker-error.ts';

const facts: ReadingFacts = {
	shown: 'http://host/disk',
	lengthBytes: 1000,
	sourceFailure: undefined,
	readPastEnd: undefined,
};
const ended = (end: Partial<ConstructorParameters<typeof CommandError>[1]>) =>
	new CommandError('qemu-img', {exitCode: null, killedBy: null, stderr: '', ...end});

test.each<[string, CommandError, Partial<ReadingFacts>, string, RegExp]>([
	[
		'the source failed',
		ended({exitCode: 1}),
		{sourceFailure: new WorkerError('SourceChanged', 'it changed')},
		'SourceChanged',
		/it changed/,
	],
	[
		'it refers to what is not there',
		ended({exitCode: 1}),
		{readPastEnd: 2000},
		'InvalidImage',
		/byte 2000, but ends after 1000/,
	],
	[
		'the target is full',
		ended({exitCode: 1, stderr: 'error while writing: No space left on device'}),
		{},
		'TargetWriteFailed',
		/full/,
	],
	['too much time', ended({killedBy: 'SIGXCPU', exceeded: 'time'}), {}, 'InvalidImage', /more time/],
	[
		'too much memory',
		ended({killedBy: 'SIGABRT', exceeded: 'memory'}),
		{},
		'InvalidImage',
		/more memory than an honest/,
	],
	['too much output', ended({killedBy: 'SIGKILL', exceeded: 'output'}), {}, 'InvalidImage', /no end/],
	['killed by the kernel', ended({killedBy: 'SIGKILL'}), {}, 'Internal', /than the Pod may use/],
	['damaged', ended({exitCode: 1, stderr: 'first\nlast'}), {}, 'InvalidImage', /"last"/],
])('%s', (_, error, found, reason, message) => {
	expect(failureOfReading(error, {...facts, ...found})).toMatchObject({
		reason,
		message: expect.stringMatching(message) as string,
	});
});

test('what else ends it is left as it is', () => {
	const crash = ended({killedBy: 'SIGSEGV'});
	expect(failureOfReading(crash, facts)).toBe(crash);
});
