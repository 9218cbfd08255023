/** Lets the importer at one hostile source, and looks at what it did. */
import {execFile} from 'node:child_process';
import {lstat, mkdir, open, readdir, readlink, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer, type RequestListener} from 'node:http';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import {diskImageName, type ImportTask, type WorkerFailure} from '../../../src/api/worker-contract.ts';
import {digestOf} from '../../support/disk-images.ts';
import {startImageServer} from '../../support/image-server.ts';
import {type Taken, watchProcesses} from '../process-watch.ts';
import {startWorker, type WorkerEnd} from '../worker-process.ts';
import type {CanaryWatch} from './canaries.ts';
import {type HostileCase, hostileClaimBytes, refusals} from './case.ts';
import {parseTrace, straceCommand, type Touched} from './trace.ts';

/** Node and qemu-img together. */
const mostRssKiB = 256 * 1024;
/** Room for the tables of an image that is put down; see longestScratchBytes. */
const tableBytes = 65 * 1024 * 1024;
/** Far more than any case takes, also traced and on a busy machine. */
const hangMs = 120_000;
const tuning = {http: {stallMs: 2000}, retry: {attempts: 3, baseMs: 5, longestMs: 20}};
const repository = path.resolve(import.meta.dirname, '../../..');

export interface CaseReport {
	readonly outcome: 'imported' | 'hung' | 'died' | WorkerFailure;
	/** The worker's own words. */
	readonly message: string;
	readonly violations: readonly string[];
	readonly peakRssKiB: number;
	readonly ms: number;
}

export interface CaseOptions {
	readonly folder: string;
	readonly canaries: CanaryWatch;
	/** Whether every name that the worker's processes use is looked at. */
	readonly traced: boolean;
}

export async function runCase(hostile: HostileCase, {folder, canaries, traced}: CaseOptions): Promise<CaseReport> {
	await rm(folder, {recursive: true, force: true});
	const at = (name: string) => path.join(folder, name);
	for (const name of ['claim', 'tmp', 'scratch']) await mkdir(at(name), {recursive: true});
	await using served = await serve(hostile.source);
	const claimBytes = hostile.claimBytes ?? hostileClaimBytes;
	const task: ImportTask = {
		source: {kind: 'http', url: served.url},
		target: {volumeMode: 'Filesystem', path: at('claim')},
		ownerUid: 'claim-uid',
		requestedBytes: String(claimBytes),
		filesystemOverhead: 0,
		preallocation: false,
		scratchDir: at('scratch'),
		...(hostile.contentType && {contentType: hostile.contentType}),
		...(hostile.checksum !== undefined && {checksum: hostile.checksum}),
	};
	const startedMs = performance.now();
	const worker = await startWorker({
		task,
		tuning,
		tmpFolder: at('tmp'),
		terminationLog: at('termination-log'),
		workingFolder: canaries.workingFolder,
		...(traced && {under: straceCommand(at('trace'))}),
	});
	const over = new AbortController();
	const watching = watchProcesses(worker.pid, {folder: at('claim'), ignore: ['strace'], signal: over.signal});
	const hung = sleep(hangMs, 'hung' as const, {signal: over.signal}).catch(() => 'hung' as const);
	const end = await Promise.race([worker.ended, hung]);
	over.abort();
	if (end === 'hung') process.kill(-worker.pid, 'SIGKILL');
	const ms = performance.now() - startedMs;
	const taken = await watching;
	const violations = [
		...judgeTaken(taken, claimBytes),
		...(traced
			? judgeTrace(parseTrace(await readFile(at('trace'), 'utf8'), canaries.workingFolder), {
					folder,
					canaries,
					port: served.port,
				})
			: []),
		...canaries.takeTouched().map((what) => `${what} was connected to`),
	];
	const {outcome, message, wrong} = judgeEnd(hostile, end);
	violations.push(...wrong);
	violations.push(...(await judgeFolder(hostile, {folder, outcome, claimBytes})));
	return {outcome, message, violations, peakRssKiB: taken.peakRssKiB, ms};
}

async function serve(source: Buffer | RequestListener): Promise<AsyncDisposable & {url: string; port: number}> {
	if (Buffer.isBuffer(source)) {
		const server = await startImageServer({files: {'/image': source}});
		return {url: `${server.url}/image`, port: server.port, [Symbol.asyncDispose]: () => server.close()};
	}
	const server = createServer(source);
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
	const {port} = server.address() as AddressInfo;
	return {
		url: `http://127.0.0.1:${port}/image`,
		port,
		[Symbol.asyncDispose]: () =>
			new Promise<void>((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
}

function judgeTaken({peakRssKiB, mostBytes, mostAllocatedBytes}: Taken, claimBytes: number): readonly string[] {
	const violations: string[] = [];
	if (peakRssKiB > mostRssKiB) violations.push(`took ${Math.round(peakRssKiB / 1024)} MiB of memory`);
	const disk = mostBytes.get(diskImageName) ?? 0;
	if (disk > claimBytes) violations.push(`a disk of ${disk} bytes in a claim of ${claimBytes}`);
	// What is put down before it can be read may have tables of its own.
	if (mostAllocatedBytes > claimBytes + tableBytes) {
		violations.push(`took ${mostAllocatedBytes} bytes of a claim of ${claimBytes}`);
	}
	return violations;
}

/** What programs need to start, and what the worker is told to look at. */
const readable = [
	...['/usr/', '/lib/', '/lib64/', '/bin/', '/sbin/', '/proc/', '/sys/', '/etc/ssl/', '/opt/'],
	...[
		'/etc/ld.so.',
		'/etc/localtime',
		'/etc/host',
		'/etc/nsswitch.conf',
		'/etc/resolv.conf',
		'/etc/gai.conf',
		'/etc/crypto-policies',
		'/etc/netsvc.conf',
		'/etc/svc.conf',
	],
];
const devices = ['/dev/null', '/dev/urandom', '/dev/random', '/dev/tty'];

function judgeTrace(
	touched: readonly Touched[],
	{folder, canaries, port}: {folder: string; canaries: CanaryWatch; port: number},
): readonly string[] {
	const own = ['claim', 'tmp', 'scratch'].map((name) => path.join(folder, name));
	const isOwn = (what: string) => own.some((place) => what === place || what.startsWith(`${place}/`));
	const wrong = touched.filter(({call, what, isWritten}) => {
		if (canaries.isCanary(what) && !isOwn(what)) return true;
		if (call === 'connect' || call === 'bind')
			return !(isOwn(what) || what === `127.0.0.1:${port}` || /^(0\.0\.0\.0|::):\d+$/.test(what));
		if (isOwn(what) || what === path.join(folder, 'termination-log') || devices.includes(what)) return false;
		const isKnown = readable.some((prefix) => what.startsWith(prefix)) || what.startsWith(`${repository}/`);
		// Folders above its own are looked through for package.json and the like.
		return isWritten || !(isKnown || isAbove(what, repository) || process.execPath.startsWith(path.dirname(what)));
	});
	const lines = wrong.map(({call, what, isWritten}) => `${call} of ${what}${isWritten ? ', to write' : ''}`);
	return touched.length === 0 ? ['the trace is empty'] : [...new Set(lines)];
}

function isAbove(what: string, place: string): boolean {
	return place.startsWith(path.dirname(what) === '/' ? '/' : `${path.dirname(what)}/`) && what.endsWith('package.json');
}

function judgeEnd(
	{expect = 'either'}: HostileCase,
	end: WorkerEnd | 'hung',
): {outcome: CaseReport['outcome']; message: string; wrong: readonly string[]} {
	if (end === 'hung') return {outcome: 'hung', message: '', wrong: [`hung for ${hangMs / 1000} s`]};
	const {exitCode, killedBy, result, leftPids, log} = end;
	const wrong = leftPids.length > 0 ? [`processes ${leftPids.join(', ')} outlive the worker`] : [];
	if (!result) {
		return {
			outcome: 'died',
			message: '',
			wrong: [...wrong, `no termination message, ${killedBy ?? `exit ${exitCode}`}:\n${log.slice(-2000)}`],
		};
	}
	const outcome = result.outcome === 'succeeded' ? 'imported' : result.reason;
	const right = [
		...(expect === 'imported' || expect === 'either' ? ['imported'] : expect),
		...(expect === 'either' ? refusals : []),
	];
	if (!right.includes(outcome)) wrong.push(`ended as ${outcome}, expected ${right.join(', ')}`);
	return {outcome, message: result.message, wrong};
}

async function judgeFolder(
	{format = 'raw', source, inside, contentType}: HostileCase,
	{folder, outcome, claimBytes}: {folder: string; outcome: CaseReport['outcome']; claimBytes: number},
): Promise<readonly string[]> {
	const violations: string[] = [];
	const claim = path.join(folder, 'claim');
	for (const name of ['tmp', 'scratch']) {
		const left = await readdir(path.join(folder, name));
		if (left.length > 0) violations.push(`left in ${name}: ${left.join(', ')}`);
	}
	const files = await readdir(claim);
	if (contentType === 'archive' && outcome === 'imported') return [...violations, ...(await judgeTree(claim))];
	const expected = outcome === 'imported' ? [diskImageName] : [];
	if (files.join(' ') !== expected.join(' ')) violations.push(`the claim holds ${files.join(', ') || 'nothing'}`);
	const image = inside ?? source;
	if (outcome !== 'imported' || !Buffer.isBuffer(image)) return violations;
	const disk = path.join(folder, 'expected');
	await writeFile(path.join(folder, 'image'), image);
	try {
		await promisify(execFile)('qemu-img', ['convert', '-f', format, '-O', 'raw', path.join(folder, 'image'), disk], {
			timeout: 60_000,
		});
	} catch (error) {
		return [...violations, `imported, and qemu-img cannot read it: ${String(error)}`];
	}
	{
		await using handle = await open(disk, 'r+');
		await handle.truncate(claimBytes);
	}
	if ((await digestOf(disk)) !== (await digestOf(path.join(claim, diskImageName))))
		violations.push('the disk is not what qemu-img makes of it');
	return violations;
}

/** What an archive left: nothing but files and folders of no special rights, and links that lead nowhere else. */
async function judgeTree(claim: string): Promise<readonly string[]> {
	const violations: string[] = [];
	for (const name of await readdir(claim, {recursive: true})) {
		const place = path.join(claim, name);
		const found = await lstat(place);
		if (!found.isFile() && !found.isDirectory() && !found.isSymbolicLink()) violations.push(`${name} is no file`);
		if (!found.isSymbolicLink() && (found.mode & 0o7000) !== 0) violations.push(`${name} has special rights`);
		if (!found.isSymbolicLink()) continue;
		const target = path.resolve(path.dirname(place), await readlink(place));
		if (target !== claim && !target.startsWith(`${claim}/`)) violations.push(`${name} leads to ${target}`);
	}
	return violations;
}
