/**
 * Imports over HTTP: onesnap's importer as its Pod runs it, against what a host has for it. The ways take turns:
 *
 *     local     qemu-img convert of the same file from the local disk: no network at all
 *     scratch   download on one connection to a file (curl), then convert that: as CDI does it now
 *     nbdkit    qemu-img convert from nbdkit's curl plugin with its readahead filter: as CDI did it before
 *
 * The far side is a process on the loopback, with a latency for each request and a rate for each connection. Before each try
 * the claim is empty, the disk below is idle and the local file is in no cache. Each try ends with the disk synced.
 *
 *     node test/bench/import.ts [--rounds 5] [--image NAME …] [--case LATENCY[/RATE] …] [--way NAME …] [--plot FILE]
 *
 * A case is milliseconds for each request and MB/s for each connection: `20/50`. Prints a table, writes
 * .onesnap/bench/import.json, with --plot also a plot of seconds over latency (SVG).
 */
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';
import {compile} from '../../images/compile.ts';
import {run} from '../cluster/command.ts';
import {ensurePackages} from '../cluster/packages.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {table} from '../support/table.ts';
import {FarServer, type Link} from './far-server.ts';
import {type BenchImage, benchImages} from './import-images.ts';
import {diskOf, isPossible, type Place, type Try, tryOnce, type Way, ways} from './import-ways.ts';
import {plotOf} from './plot.ts';

const {values: options} = parseArgs({
	options: {
		rounds: {type: 'string', default: '5'},
		image: {type: 'string', multiple: true, default: Object.keys(benchImages)},
		case: {type: 'string', multiple: true},
		way: {type: 'string', multiple: true, default: [...ways]},
		plot: {type: 'string'},
	},
});
const rounds = Number(options.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be 1 or more');
const wantedWays = ways.filter((way) => options.way.includes(way));
const project = path.resolve(import.meta.dirname, '../..');

/** What the others may take for one try; the slowest of them would take hours. */
const limitMs = 30_000;
/** What a way may take for all its tries of a case before it gets no more of them. */
const patienceMs = 15_000;

interface Row {
	readonly image: string;
	readonly latencyMs: number;
	/** Of each connection; null: as fast as it goes. */
	readonly rateMBps: number | null;
	readonly ratioToLocalConvert: number | null;
	readonly ratioToScratchThenConvert: number | null;
	readonly ratioToNbdkit: number | null;
	/** Node and qemu-img together. */
	readonly peakRssMiB: number;
	/** Bytes that the server sent to the size of the file. */
	readonly fetchedRatio: number;
	/** Medians. */
	readonly seconds: Readonly<Partial<Record<Way, number>>>;
	readonly tries: Readonly<Partial<Record<Way, readonly number[]>>>;
	/** Ways that were stopped at the limit: the ratio to one of them is at most what is written. */
	readonly stopped: readonly Way[];
	/** Load of the machine at the end (1 minute). */
	readonly load: number;
}

await ensurePackages('images');
await ensurePackages('importBench');
const work = await mkdtemp(path.join(os.tmpdir(), 'onesnap-bench-import-'));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(work, {recursive: true, force: true}));
const folders = {claim: path.join(work, 'claim'), scratch: path.join(work, 'scratch')};
await Promise.all(Object.values(folders).map((folder) => mkdir(folder)));
const importer = await withProgress('compiling the importer', async () => {
	const dist = path.join(project, '.onesnap/bench/dist');
	await rm(dist, {recursive: true, force: true});
	await compile(project, dist);
	return path.join(dist, 'bin/importer.js');
});

const results = path.join(project, '.onesnap/bench');
const rows: Row[] = [];
for (const name of options.image) {
	const makeImage = benchImages[name];
	if (!makeImage) throw new Error(`--image ${name}: one of ${Object.keys(benchImages).join(', ')}`);
	const image = await makeImage(work);
	await using server = await FarServer.start(image.far);
	for (const link of (options.case ?? image.usualCases).map(parseCase)) {
		rows.push(await measure(image, server, link));
		// Now: a whole run takes long.
		await writeFile(path.join(results, 'import.json'), `${JSON.stringify(rows, null, '\t')}\n`);
	}
}

if (options.plot !== undefined)
	await writeFile(options.plot, plotOf(rows.filter(({image, rateMBps}) => image === 'qcow2' && rateMBps === null)));
report(
	`medians of ${rounds} rounds, seconds and in brackets the time of onesnap to it; < where it was stopped at ${limitMs / 1000} s`,
);
process.stdout.write(
	`${table([['IMAGE', 'MS', 'MB/S', 'ONESNAP', 'LOCAL CONVERT', 'SCRATCH', 'NBDKIT', 'RSS MIB', 'FETCHED', 'LOAD'], ...rows.map(inWords)])}\n`,
);

async function measure(image: BenchImage, server: FarServer, link: Link): Promise<Row> {
	await server.setLink(link);
	const place: Place = {importer, ...folders, url: server.url, limitMs};
	const tries: Partial<Record<Way, Try[]>> = {};
	let fetchedBytes = 0;
	const shown = `${image.name}, ${link.latencyMs} ms, ${rateOf(link) ?? 'any'} MB/s`;
	const tryAndCount = async (way: Way) => {
		await clear(image);
		await server.takeCounts();
		const result = await tryOnce(way, image, way === 'onesnap' ? {...place, limitMs: 600_000} : place);
		const {bytes} = await server.takeCounts();
		if (way === 'onesnap') fetchedBytes = Math.max(fetchedBytes, bytes);
		return result;
	};
	await withProgress(shown, async () => {
		// One more before, which nobody counts: programs and metadata come from the disk then. It is looked at closely instead.
		// Without a way to compare with, it is about memory and bytes.
		if (image.path === undefined) tries.onesnap = [await tryAndCount('onesnap')];
		if (image.path === undefined) return;
		if (wantedWays.includes('local')) await tryAndCount('local');
		await tryAndCount('onesnap');
		if (image.sameAs !== undefined) {
			await run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', image.sameAs, diskOf(folders)]);
		}
		for (let round = 0; round < rounds; round++) {
			for (const index of wantedWays.keys()) {
				// What one left behind must not always meet the same next one.
				const way = wantedWays[(index + round) % wantedWays.length] ?? 'onesnap';
				const before = tries[way] ?? [];
				if (isTooSlow(way, before) || !isPossible(way, image, place)) continue;
				tries[way] = [...before, await tryAndCount(way)];
			}
		}
	});
	await clear(image);
	const medians = Object.fromEntries(
		Object.entries(tries).map(([way, list]) => [way, median(list.map(({seconds}) => seconds))]),
	) as Partial<Record<Way, number>>;
	const ratioTo = (way: Way) =>
		medians.onesnap === undefined || medians[way] === undefined ? null : rounded(medians.onesnap / medians[way]);
	return {
		image: image.name,
		latencyMs: link.latencyMs,
		rateMBps: rateOf(link),
		ratioToLocalConvert: ratioTo('local'),
		ratioToScratchThenConvert: ratioTo('scratch'),
		ratioToNbdkit: ratioTo('nbdkit'),
		peakRssMiB: Math.ceil(Math.max(0, ...(tries.onesnap ?? []).map(({residentBytes}) => residentBytes)) / 2 ** 20),
		fetchedRatio: rounded(fetchedBytes / image.far.sizeBytes),
		seconds: medians,
		tries: Object.fromEntries(
			Object.entries(tries).map(([way, list]) => [way, list.map(({seconds}) => rounded(seconds))]),
		),
		stopped: wantedWays.filter((way) => tries[way]?.some(({stopped}) => stopped)),
		load: rounded(os.loadavg()[0] ?? 0),
	};
}

/** The ways that all depends on get every round. */
function isTooSlow(way: Way, tries: readonly Try[]): boolean {
	if (way === 'onesnap' || way === 'local') return false;
	return tries.reduce((sum, {seconds}) => sum + seconds, 0) * 1000 > patienceMs;
}

/** Nothing of the try before is left, nor on its way to the disk: it would be the next one's time. */
async function clear(image: BenchImage): Promise<void> {
	await rm(diskOf(folders), {force: true});
	await run('sync', ['--file-system', work]);
	// GNU dd tells the kernel to forget the file.
	if (image.path !== undefined) await run('dd', ['of=/dev/null', `if=${image.path}`, 'iflag=nocache', 'count=0']);
}

function parseCase(text: string): Link {
	const match = /^(\d+)(?:\/(\d+))?$/.exec(text);
	if (!match) throw new Error(`--case ${text}: milliseconds, or milliseconds/MB per second`);
	return {latencyMs: Number(match[1]), bytesPerSecond: match[2] === undefined ? null : Number(match[2]) * 1e6};
}

function rateOf({bytesPerSecond}: Link): number | null {
	return bytesPerSecond === null ? null : bytesPerSecond / 1e6;
}

function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = Math.floor(sorted.length / 2);
	return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function rounded(value: number): number {
	return Number(value.toFixed(3));
}

function inWords(row: Row): string[] {
	const {seconds, stopped} = row;
	const against = (way: Way, ratio: number | null) => {
		const time = seconds[way];
		if (time === undefined) return '-';
		return stopped.includes(way)
			? `> ${time.toFixed(0)} (< ${ratio?.toFixed(2)})`
			: `${time.toFixed(2)} (${ratio?.toFixed(2)})`;
	};
	return [
		row.image,
		String(row.latencyMs),
		String(row.rateMBps ?? '-'),
		seconds.onesnap?.toFixed(2) ?? '-',
		against('local', row.ratioToLocalConvert),
		against('scratch', row.ratioToScratchThenConvert),
		against('nbdkit', row.ratioToNbdkit),
		String(row.peakRssMiB),
		row.fetchedRatio.toFixed(3),
		row.load.toFixed(1),
	];
}
