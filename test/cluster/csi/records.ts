import {readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {createDurably, removeDurably} from './durable.ts';
import {hasErrno} from './errors.ts';
import {isId} from './ids.ts';

/**
 * What the driver knows about its volumes, or its snapshots: one JSON file beside each image. The record is the commit point:
 * an object exists when its record does. It is written after the image and removed before it, so a crash in between leaves an
 * image that nobody can see, and the caller's retry writes it anew or removes it.
 */
export class Records<Item extends {readonly id: string}> {
	readonly #folder: string;

	constructor(folder: string) {
		this.#folder = folder;
	}

	async read(id: string): Promise<Item | undefined> {
		if (!isId(id)) return undefined;
		try {
			const record: Item = JSON.parse(await readFile(this.#file(id), 'utf8'));
			return record;
		} catch (error) {
			if (hasErrno(error, 'ENOENT')) return undefined;
			throw error;
		}
	}

	async write(record: Item): Promise<void> {
		await createDurably(this.#file(record.id), (temporary) => writeFile(temporary, `${JSON.stringify(record)}\n`));
	}

	async remove(id: string): Promise<void> {
		await removeDurably(this.#file(id));
	}

	async list(): Promise<readonly Item[]> {
		const files = (await readdir(this.#folder)).filter((file) => file.endsWith('.json'));
		const records = await Promise.all(files.map((file) => this.read(file.slice(0, -'.json'.length))));
		return records.filter((record) => record !== undefined);
	}

	#file(id: string): string {
		return path.join(this.#folder, `${id}.json`);
	}
}
