/**
 * A tree of files that is made entry by entry below one folder. Nothing is made through a symbolic link, wherever it came from;
 * a later entry takes the place of an earlier one of its name, but not of a folder.
 */
import {constants} from 'node:fs';
import {chmod, link, lstat, lutimes, mkdir, open, readdir, rm, symlink, unlink, utimes} from 'node:fs/promises';
import {join} from 'node:path';
import type {ReadEntry} from 'tar';
import {SparseWriter} from '../target/sparse-writer.ts';
import {lostAndFound, writeFailure} from '../target/target.ts';
import {WorkerError} from '../worker-error.ts';

/** No setuid, no setgid, no sticky bit. */
const rights = 0o777;
/** Of a folder that the archive names later, or never. */
const usualFolder = 0o755;
/** Until all is in it. */
const ownRights = 0o700;

export interface Place {
	/** From the tree's folder; empty for that folder itself. */
	readonly names: readonly string[];
	readonly mode: number;
	readonly mtime: Date;
}

/** Everything in the folder but what its file system needs. */
export async function emptyFolder(folder: string): Promise<void> {
	for (const name of await readdir(folder)) {
		if (name !== lostAndFound) await rm(join(folder, name), {recursive: true, force: true});
	}
}

export class FileTree {
	readonly #folder: string;
	/** Folders that were made here, or found to be one. */
	readonly #folders = new Set<string>(['']);
	/** What a folder is to be in the end: one that nothing may be written into, or whose time changes with each entry. */
	readonly #later = new Map<string, Place>();

	readonly #onFolder: () => void;

	/** `onFolder` is called before each folder that is made, and may throw. */
	constructor(folder: string, {onFolder}: {readonly onFolder: () => void}) {
		this.#folder = folder;
		this.#onFolder = onFolder;
	}

	async makeFolder(place: Place): Promise<void> {
		const {names} = place;
		if (names.length === 0) return;
		await written(async () => {
			await this.#enter(names);
			if (names.join('/') !== lostAndFound) this.#later.set(names.join('/'), place);
		});
	}

	async writeFile(place: Place, content: ReadEntry): Promise<void> {
		await written(async () => {
			const path = await this.#makeRoom(place);
			await using handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, ownRights);
			const writer = new SparseWriter(handle, {keepHoles: true});
			const sizeBytes = await writeAll(content, writer);
			await handle.truncate(sizeBytes);
			await handle.chmod(place.mode & rights);
			await handle.utimes(place.mtime, place.mtime);
		});
	}

	async makeSymbolicLink(place: Place, target: string): Promise<void> {
		await written(async () => {
			const path = await this.#makeRoom(place);
			await symlink(target, path);
			await lutimes(path, place.mtime, place.mtime);
		});
	}

	async makeHardLink(place: Place, to: readonly string[]): Promise<void> {
		await written(async () => {
			await this.#enter(to.slice(0, -1));
			const path = join(this.#folder, ...to);
			const found = await statOf(path);
			if (!found?.isFile()) {
				throw refused(`${place.names.join('/')} is a link to ${to.join('/')}, which is no file that came before it`);
			}
			await link(path, await this.#makeRoom(place));
		});
	}

	/** Folders get the rights and times that they are to have. */
	async finish(): Promise<void> {
		await written(async () => {
			// The innermost first: what a folder forbids would forbid this, too.
			const deepestFirst = [...this.#later].sort(([a], [b]) => b.split('/').length - a.split('/').length);
			for (const [path, {mode, mtime}] of deepestFirst) {
				await chmod(join(this.#folder, path), mode & rights);
				await utimes(join(this.#folder, path), mtime, mtime);
			}
		});
	}

	/** Every step on the way is a real folder afterwards. */
	async #enter(names: readonly string[]): Promise<void> {
		for (const count of names.keys()) {
			const path = names.slice(0, count + 1).join('/');
			if (this.#folders.has(path)) continue;
			const found = await statOf(join(this.#folder, path));
			if (found && !found.isDirectory()) throw refused(`${path} is a folder in one entry and none in another`);
			if (!found) {
				this.#onFolder();
				await mkdir(join(this.#folder, path), ownRights);
				this.#later.set(path, {names: names.slice(0, count + 1), mode: usualFolder, mtime: new Date()});
			}
			this.#folders.add(path);
		}
	}

	/** Whatever had this name before is gone. */
	async #makeRoom({names}: Place): Promise<string> {
		if (names.length === 0) throw refused('an entry that is no folder has no name');
		await this.#enter(names.slice(0, -1));
		const path = join(this.#folder, ...names);
		const found = await statOf(path);
		if (found?.isDirectory()) throw refused(`${names.join('/')} is a folder in one entry and none in another`);
		if (found) await unlink(path);
		return path;
	}
}

/** @returns its length in bytes */
async function writeAll(content: ReadEntry, writer: SparseWriter): Promise<number> {
	let position = 0;
	const {promise: ended, resolve, reject} = Promise.withResolvers<void>();
	content.on('data', (bytes: Buffer) => {
		const at = position;
		position += bytes.length;
		// Until the writer takes more: it has several writes under way by itself.
		content.pause();
		writer.write(bytes, at).then(() => content.resume(), reject);
	});
	content.once('end', resolve);
	await ended;
	await writer.flush();
	return position;
}

async function statOf(path: string) {
	return lstat(path).catch((error: unknown) => {
		if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
		throw error;
	});
}

const refused = (what: string) => new WorkerError('InvalidImage', `The archive contradicts itself: ${what}.`);

/** A claim that the archive fills up is too small, however often it is tried. */
async function written(action: () => Promise<void>): Promise<void> {
	try {
		await action();
	} catch (error) {
		const failure = writeFailure(error);
		if (!/ENOSPC|EDQUOT/.test(failure.message)) throw failure;
		throw new WorkerError('ImageTooLarge', 'The archive does not fit: the volume is full. Ask for a larger claim.', {
			cause: error,
		});
	}
}
