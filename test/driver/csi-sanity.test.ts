/** What csi-sanity (csi-test v5) says about the driver. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {inject, test} from 'vitest';
import {type Driver, withDriver} from './with-driver.ts';

type Variant = {readonly title: string; readonly options: readonly string[]; readonly sanity: readonly string[]};

const variants: readonly Variant[] = [
	{title: 'file systems', options: [], sanity: []},
	{title: 'block devices', options: [], sanity: ['-csi.testvolumeaccesstype=block']},
	{title: 'node-local', options: ['--topology-key', 'scratch.onesnap.test/node'], sanity: []},
	{title: 'no snapshots', options: ['--no-snapshots'], sanity: []},
];

test.concurrent.for(variants)('csi-sanity finds no fault: $title', async ({options, sanity}) => {
	await withDriver({options}, async (driver) => {
		const output = await runSanity(driver, sanity);
		// No summary line, no success: the suite may have crashed.
		if (!/[1-9]\d* Passed \| 0 Failed/.test(output)) throw new Error(output);
	});
});

async function runSanity({scratch: {folder}, socketOf}: Driver, options: readonly string[]): Promise<string> {
	const args = [
		`-csi.endpoint=unix://${socketOf('node1')}`,
		`-csi.mountdir=${folder}/mount`,
		`-csi.stagingdir=${folder}/staging`,
		'-ginkgo.no-color',
		...options,
	];
	const child = spawn(inject('csiSanity'), args, {stdio: ['ignore', 'pipe', 'pipe']});
	let output = '';
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
	}
	await once(child, 'close');
	return output;
}
