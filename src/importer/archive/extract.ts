/**
 * Extracts a tar archive of a stranger into a claim. Nothing of it can lie or lead outside the folder, no entry is a device, no
 * file has more rights than who opens it: what is not so is refused, in words, and then nothing is kept of the rest either.
 */
import {setImmediate as nextTurn} from 'node:timers/promises';
import {Parser, type ReadEntry} from 'tar';
import {WorkerError} from '../worker-error.ts';
import {entryPath, leadsInside} from './entry-path.ts';
import {FileTree} from './file-tree.ts';

/** Longest name, and longest list of attributes: held in memory while they are read. */
const mostMetaBytes = 1024 * 1024;
/** What an entry without content takes, at least: so that no number of them is for nothing. */
const entryBytes = 512;
/** What a folder takes, also one that is only named on the way to another: a short name may have two thousand of them. */
const folderBytes = 4096;
/** After the last entry: programs fill up to whole blocks of theirs. */
const mostPaddingBytes = 64 * 1024 * 1024;

export interface ExtractOptions {
	/** Names the archive in messages. */
	readonly shown: string;
	/** Bytes that all files may have together. */
	readonly mostBytes: number;
	readonly signal: AbortSignal;
}

export interface Extracted {
	readonly entries: number;
	readonly bytes: number;
}

/** Nothing is synced yet when it resolves. Rejects with a WorkerError. */
export async function extractArchive(
	pieces: AsyncIterable<Buffer>,
	folder: string,
	options: ExtractOptions,
): Promise<Extracted> {
	const {signal} = options;
	const extraction = new Extraction(folder, options);
	for await (const piece of pieces) {
		signal.throwIfAborted();
		// The archive's pieces are the network's memory, which is used again before all of them are written.
		await extraction.write(Buffer.from(piece));
	}
	return extraction.finish();
}

class Extraction {
	readonly #tree: FileTree;
	readonly #options: ExtractOptions;
	readonly #parser: Parser;
	readonly #failed = Promise.withResolvers<never>();
	#failure: unknown;
	/** One entry after the other, in the order of the archive: the parser tells of the next one while one is being made. */
	#done = Promise.resolve();
	#waiting = 0;
	#entries = 0;
	#bytes = 0;
	#readBytes = 0;
	/** The rest is padding. */
	#isAtEnd = false;

	constructor(folder: string, options: ExtractOptions) {
		this.#tree = new FileTree(folder, {onFolder: () => this.#take(folderBytes)});
		this.#options = options;
		this.#failed.promise.catch(() => {});
		// Told in advance: it would unpack by itself what it takes for gzip.
		this.#parser = new Parser({maxMetaEntrySize: mostMetaBytes, brotli: false, zstd: false});
		this.#parser.on('warn', (_code: string, message: string | Error) => {
			this.#fail(this.#damaged(typeof message === 'string' ? message : message.message));
		});
		this.#parser.on('eof', () => {
			this.#isAtEnd = true;
		});
		this.#parser.on('ignoredEntry', (entry: ReadEntry) => this.#fail(this.#ignored(entry)));
		this.#parser.on('entry', (entry: ReadEntry) => {
			this.#waiting++;
			this.#done = this.#done
				.then(() => this.#make(entry))
				.catch((error: unknown) => this.#fail(error))
				.finally(() => this.#waiting--);
		});
	}

	/** Resolves when the next piece may come. */
	async write(piece: Buffer): Promise<void> {
		this.#readBytes += piece.length;
		// Heads and the ends of blocks are no more than what is counted for the entries.
		if (this.#readBytes > 2 * this.#options.mostBytes + mostPaddingBytes) throw this.#tooLarge();
		// The parser would keep it all.
		if (this.#isAtEnd) return;
		if (!this.#parser.write(piece)) {
			await Promise.race([this.#failed.promise, new Promise<void>((resolve) => this.#parser.once('drain', resolve))]);
		}
		// The last one may need what comes next; those before it have all they need.
		while (this.#waiting > 1 && this.#failure === undefined) await nextTurn();
		if (this.#failure !== undefined) throw this.#failure;
	}

	async finish(): Promise<Extracted> {
		const ended = new Promise<void>((resolve) => this.#parser.once('end', resolve));
		this.#parser.end();
		await Promise.race([this.#failed.promise, ended]);
		await Promise.race([this.#failed.promise, this.#done]);
		if (this.#failure !== undefined) throw this.#failure;
		await this.#tree.finish();
		if (this.#entries === 0) throw this.#damaged('there is nothing in it');
		return {entries: this.#entries, bytes: this.#bytes};
	}

	async #make(entry: ReadEntry): Promise<void> {
		if (this.#failure !== undefined) return;
		const {path, type, linkpath = ''} = entry;
		this.#count(entry);
		const names = entryPath(path);
		if (!names) throw this.#refused(`has the entry ${show(path)}, which leads out of it`);
		if (/(^|\/)GNUSparseFile\.\d+\//.test(path)) {
			throw this.#refused(`has ${show(path)} packed with holes (tar --sparse). Pack it again without that option`);
		}
		const place = {names, mode: entry.mode ?? 0o644, mtime: entry.mtime ?? new Date()};
		switch (type) {
			case 'Directory':
			case 'GNUDumpDir':
				await this.#tree.makeFolder(place);
				break;
			case 'File':
			case 'OldFile':
			case 'ContiguousFile':
				return this.#tree.writeFile(place, entry);
			case 'SymbolicLink':
				if (!leadsInside(names, linkpath)) {
					throw this.#refused(`has the symbolic link ${show(path)} to ${show(linkpath)}, which may lead out of it`);
				}
				await this.#tree.makeSymbolicLink(place, linkpath);
				break;
			case 'Link': {
				const to = entryPath(linkpath);
				if (!to) throw this.#refused(`has the link ${show(path)} to ${show(linkpath)}, which leads out of it`);
				await this.#tree.makeHardLink(place, to);
				break;
			}
			default:
				throw this.#refused(`has ${show(path)}, a ${type}: only files, folders and links can be unpacked`);
		}
		// It has no content, or none that counts.
		entry.resume();
	}

	#count({size}: ReadEntry): void {
		this.#entries++;
		this.#take(entryBytes + size);
	}

	#take(bytes: number): void {
		this.#bytes += bytes;
		if (this.#bytes > this.#options.mostBytes) throw this.#tooLarge();
	}

	#tooLarge(): WorkerError {
		const {shown, mostBytes} = this.#options;
		return new WorkerError(
			'ImageTooLarge',
			`${shown} does not fit: what it unpacks to has more than ${mostBytes} bytes, which is what the claim holds. Ask for a larger claim.`,
		);
	}

	/** The first one counts. */
	#fail(error: unknown): void {
		this.#failure ??= error;
		this.#failed.reject(error);
	}

	#ignored({path, type, size}: ReadEntry): WorkerError {
		return size > mostMetaBytes && type !== 'SparseFile'
			? this.#damaged(`a name or attribute in it has ${size} bytes`)
			: this.#refused(`has ${show(path)}, a ${type}: only files, folders and links can be unpacked`);
	}

	#refused(what: string): WorkerError {
		return new WorkerError('InvalidImage', `${this.#options.shown} ${what}. Nothing of it is kept.`);
	}

	#damaged(why: string): WorkerError {
		return new WorkerError(
			'InvalidImage',
			`${this.#options.shown} is no archive, or a damaged one: ${why}. Upload it again, whole.`,
		);
	}
}

const longestShown = 200;

/** Names in archives are anybody's. */
function show(name: string): string {
	return JSON.stringify(name.length > longestShown ? `${name.slice(0, longestShown)}…` : name);
}
