import {spawn} from 'node:child_process';
import {once} from 'node:events';
import path from 'node:path';
import {cacheDir} from '../cache-folder.ts';
import {startDriverProcess} from './driver-process.ts';
import {makeScratchPool, type ScratchPool} from './scratch-pool.ts';

/** What csi-sanity (csi-test v5) said about the driver, over all variants. */
export type SanityResult = {readonly passed: number; readonly failed: number; readonly output: string};

type Variant = {readonly title: string; readonly driver: readonly string[]; readonly sanity: readonly string[]};

const variants: readonly Variant[] = [
	{title: 'file systems', driver: [], sanity: []},
	{title: 'block devices', driver: [], sanity: ['-csi.testvolumeaccesstype=block']},
	{title: 'node-local', driver: ['--topology-key', 'scratch.onesnap.test/node'], sanity: []},
	{title: 'no snapshots', driver: ['--no-snapshots'], sanity: []},
];

const defaultBinary = path.join(cacheDir, 'binaries', 'csi-test-v5.6.0', 'csi-sanity');

/** Runs csi-sanity against the driver, each variant on a pool of its own; anything left mounted or attached is a failure too. */
export async function runSanity(binary = defaultBinary): Promise<SanityResult> {
	let total: SanityResult = {passed: 0, failed: 0, output: ''};
	for (const variant of variants) {
		const result = await runVariant(binary, variant);
		total = {
			passed: total.passed + result.passed,
			failed: total.failed + result.failed,
			output: `${total.output}== ${variant.title} ==\n${result.output}\n`,
		};
	}
	return total;
}

async function runVariant(binary: string, variant: Variant): Promise<SanityResult> {
	const scratch = await makeScratchPool();
	let result: SanityResult = {passed: 0, failed: 1, output: ''};
	let left: readonly string[] = [];
	try {
		const driver = await startDriverProcess(scratch, variant.driver);
		try {
			result = parseResult(await runToEnd(binary, sanityArgs(scratch, variant)));
		} finally {
			await driver.stop();
		}
	} finally {
		left = await scratch.dispose();
	}
	return {
		...result,
		failed: result.failed + left.length,
		output: [result.output, ...left.map((what) => `left behind: ${what}`)].join('\n'),
	};
}

function sanityArgs({folder}: ScratchPool, variant: Variant): readonly string[] {
	return [
		`-csi.endpoint=unix://${folder}/csi.sock`,
		`-csi.mountdir=${folder}/mount`,
		`-csi.stagingdir=${folder}/staging`,
		'-ginkgo.no-color',
		...variant.sanity,
	];
}

/** csi-sanity ends with another code than 0 when a case fails; its summary line says how many. */
async function runToEnd(binary: string, args: readonly string[]): Promise<string> {
	const child = spawn(binary, args, {stdio: ['ignore', 'pipe', 'pipe']});
	let output = '';
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
	}
	await once(child, 'close');
	return output;
}

/** No summary line, no success: the suite may have crashed. */
function parseResult(output: string): SanityResult {
	const [, passed, failed] = /(\d+) Passed \| (\d+) Failed/.exec(output) ?? [];
	return {passed: Number(passed ?? 0), failed: Number(failed ?? 1), output};
}

if (import.meta.main) {
	const {passed, failed, output} = await runSanity(process.argv[2]);
	console.log(output);
	console.log(`csi-sanity: ${passed} passed, ${failed} failed`);
	process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
