/**
 * Host-assisted copy against what a host has for it: `qemu-img convert` with its best flags, and `cp --sparse=always`. The
 * demo's image, in all four pairs of block device and file system, in turns on this machine: real loop devices, ext4 and
 * xfs. The copier is started as in its Pod, and timed from its start to its end; all three have synced the target then.
 *
 * Before each try the target is made anew, and neither device nor file system of either side has anything cached.
 *
 *     node test/bench/copy.ts [rounds [mode …]]      prints a table, writes .onesnap/bench/copy.json
 */
import {mkdir, mkdtemp, rm, truncate, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {type CopyTask, workerTaskVariable, type WorkerVolume} from '../../src/api/worker-contract.ts';
import {compile} from '../../images/compile.ts';
import {ensurePackages} from '../cluster/packages.ts';
import {run} from '../cluster/command.ts';
import {report, withProgress} from '../cluster/progress.ts';
import {ensureDebianImage} from '../demo/debian-image.ts';
import {table} from '../support/table.ts';

const [, , roundsText = '7', ...wanted] = process.argv;
const rounds = Number(roundsText);
if (!Number.isInteger(rounds) || rounds < 5) throw new Error('the number of rounds must be 5 or more');
const project = path.resolve(import.meta.dirname, '../..');

type Mode = WorkerVolume['volumeMode'];
interface Side {
	readonly name: string;
	readonly mode: Mode;
	readonly fileSystem: 'ext4' | 'xfs';
}
/** Both file systems are read and written. */
const pairs = [
	{name: 'block->block', from: 'Block', to: 'Block', fileSystem: 'ext4'},
	{name: 'fs->fs', from: 'Filesystem', to: 'Filesystem', fileSystem: 'ext4'},
	{name: 'block->fs', from: 'Block', to: 'Filesystem', fileSystem: 'xfs'},
	{name: 'fs->block', from: 'Filesystem', to: 'Block', fileSystem: 'xfs'},
] as const;
const tools = ['onesnap', 'qemu-img', 'cp'] as const;
type Tool = (typeof tools)[number];

const image = await ensureDebianImage();
await ensurePackages('images');
await ensurePackages('node');
const work = await mkdtemp(path.join(tmpdir(), 'onesnap-bench-copy-'));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(work, {recursive: true, force: true}));

/** A claim's volume as a node has it: a loop device, with a file system where it is to have one. */
class Volume {
	readonly worker: WorkerVolume;
	readonly disk: string;
	readonly #device: string;
	readonly #side: Side;

	private constructor(side: Side, device: string) {
		const folder = path.join(work, side.name);
		const block = side.mode === 'Block';
		this.#side = side;
		this.#device = device;
		this.worker = {volumeMode: side.mode, path: block ? device : folder};
		this.disk = block ? device : path.join(folder, 'disk.img');
	}

	static async make(side: Side): Promise<Volume> {
		const file = path.join(work, `${side.name}.raw`);
		await writeFile(file, '');
		// A file system needs room of its own.
		await truncate(file, image.virtualBytes * (side.mode === 'Block' ? 1 : 1.2));
		const device = (await run('losetup', ['--find', '--show', file])).trim();
		cleanup.defer(async () => void (await run('losetup', ['--detach', device])));
		const volume = new Volume(side, device);
		if (side.mode === 'Block') return volume;
		await run(`mkfs.${side.fileSystem}`, ['-q', device]);
		await mkdir(volume.worker.path);
		await volume.#mount();
		cleanup.defer(async () => void (await run('umount', [volume.worker.path])));
		return volume;
	}

	/** Nothing of it is in memory that was not read since. */
	async forget(): Promise<void> {
		if (this.worker.volumeMode === 'Filesystem') {
			await run('umount', [this.worker.path]);
			await this.#mount();
		} else await run('blockdev', ['--flushbufs', this.#device]);
	}

	async empty(): Promise<void> {
		if (this.worker.volumeMode === 'Filesystem') {
			await rm(this.disk, {force: true});
			await run('fstrim', [this.worker.path]);
		} else await run('blkdiscard', ['--force', this.#device]);
		await run('sync', ['--file-system', this.worker.volumeMode === 'Filesystem' ? this.worker.path : this.#device]);
		// Nor has the file below it anything on its way to the disk, of the tool before: it would be this one's time.
		await run('sync', ['--file-system', work]);
	}

	async #mount(): Promise<void> {
		const options = this.#side.fileSystem === 'xfs' ? ['-o', 'nouuid'] : [];
		await run('mount', [...options, this.#device, this.worker.path]);
	}
}

/** The program as it is in the image: compiled, with its packages beside it. */
async function buildCopier(): Promise<string> {
	const dist = path.join(project, '.onesnap/bench/dist');
	await rm(dist, {recursive: true, force: true});
	await compile(project, dist);
	return path.join(dist, 'bin/copier.js');
}

const copier = await withProgress('compiling the copier', buildCopier);

function taskOf(source: Volume, target: Volume): CopyTask {
	return {
		role: 'copy',
		source: source.worker,
		target: target.worker,
		ownerUid: 'bench',
		requestedBytes: String(
			target.worker.volumeMode === 'Block' ? image.virtualBytes : Math.ceil(image.virtualBytes * 1.06),
		),
		filesystemOverhead: target.worker.volumeMode === 'Block' ? 0 : 0.06,
		preallocation: false,
		// As of a snapshot's restore: the journal is kept.
		content: 'bench/bench',
	};
}

async function copyBy(tool: Tool, source: Volume, target: Volume): Promise<void> {
	switch (tool) {
		case 'onesnap':
			await run(process.execPath, ['--max-semi-space-size=2', '--max-old-space-size=64', copier], {
				env: {
					NODE_ENV: 'production',
					[workerTaskVariable]: JSON.stringify(taskOf(source, target)),
					ONESNAP_METRICS_PORT: '0',
					ONESNAP_TERMINATION_LOG: path.join(work, 'termination'),
				},
			});
			return;
		case 'qemu-img': {
			const ready = target.worker.volumeMode === 'Block' ? ['-n', '--target-is-zero'] : [];
			const flags = ['-W', '-m', '16', '-t', 'none', '-T', 'none', '-f', 'raw', '-O', 'raw'];
			await run('qemu-img', ['convert', ...ready, ...flags, source.disk, target.disk]);
			return;
		}
		case 'cp':
			await run('cp', ['--sparse=always', source.disk, target.disk]);
			await run('sync', [target.disk]);
			return;
		default:
			tool satisfies never;
	}
}

async function timeOf(tool: Tool, source: Volume, target: Volume): Promise<number> {
	await target.empty();
	await source.forget();
	await target.forget();
	const start = performance.now();
	await copyBy(tool, source, target);
	return (performance.now() - start) / 1000;
}

function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = Math.floor(sorted.length / 2);
	return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

interface Row {
	readonly mode: string;
	readonly ratioToBest: number;
	readonly seconds: Readonly<Record<Tool, number>>;
	readonly tries: Readonly<Record<Tool, readonly number[]>>;
}

const rows: Row[] = [];
for (const pair of pairs.filter(({name}) => wanted.length === 0 || wanted.includes(name))) {
	const {fileSystem} = pair;
	const source = await Volume.make({name: `${pair.name.replace('->', '-')}-source`, mode: pair.from, fileSystem});
	const target = await Volume.make({name: `${pair.name.replace('->', '-')}-target`, mode: pair.to, fileSystem});
	const sourceIsReady = pair.from === 'Block' ? ['-n', '--target-is-zero'] : [];
	await run('qemu-img', ['convert', ...sourceIsReady, '-f', 'qcow2', '-O', 'raw', image.path, source.disk]);
	await run('sync', [source.disk]);
	const tries: Record<Tool, number[]> = {onesnap: [], 'qemu-img': [], cp: []};
	await withProgress(`${pair.name}: ${rounds} rounds of ${tools.join(', ')}`, async () => {
		// One more before, which nobody counts: programs and metadata come from the disk then.
		for (let round = 0; round <= rounds; round++) {
			// What one left behind, blocks that are being freed above all, must not always meet the same next one.
			for (const index of tools.keys()) {
				const tool = tools[(index + round) % tools.length] ?? 'onesnap';
				const seconds = await timeOf(tool, source, target);
				if (round > 0) tries[tool].push(seconds);
			}
		}
	});
	await withProgress(`${pair.name}: comparing what onesnap copies with the image`, async () => {
		await target.empty();
		await copyBy('onesnap', source, target);
		await target.forget();
		// Fails where a byte differs; beyond the image there may be zeros.
		await run('qemu-img', ['compare', '-T', 'none', '-f', 'qcow2', '-F', 'raw', image.path, target.disk]);
	});
	const seconds = {onesnap: median(tries.onesnap), 'qemu-img': median(tries['qemu-img']), cp: median(tries.cp)};
	const ratioToBest = seconds.onesnap / Math.min(seconds['qemu-img'], seconds.cp);
	rows.push({mode: pair.name, ratioToBest: Number(ratioToBest.toFixed(3)), seconds, tries});
}

const folder = path.join(project, '.onesnap/bench');
await mkdir(folder, {recursive: true});
await writeFile(path.join(folder, 'copy.json'), `${JSON.stringify(rows, null, '\t')}\n`);
report(`medians of ${rounds} rounds, seconds; the image has ${image.virtualBytes / 2 ** 30} GiB`);
process.stdout.write(
	`${table([
		['MODE', 'ONESNAP', 'QEMU-IMG', 'CP', 'RATIO TO THE BETTER'],
		...rows.map(({mode, seconds, ratioToBest}) => [
			mode,
			seconds.onesnap.toFixed(2),
			seconds['qemu-img'].toFixed(2),
			seconds.cp.toFixed(2),
			ratioToBest.toFixed(2),
		]),
	])}\n`,
);
