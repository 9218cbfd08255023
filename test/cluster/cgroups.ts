import {mkdir, readdir, readFile, rmdir, writeFile} from 'node:fs/promises';
import path from 'node:path';

const root = '/sys/fs/cgroup';

/** The roots of the cgroup hierarchies: one with cgroup v2, one per mounted controller with v1. */
async function hierarchies(): Promise<string[]> {
	const entries = await readdir(root, {withFileTypes: true});
	if (entries.some((entry) => entry.name === 'cgroup.controllers')) return [root];
	return entries.filter((entry) => entry.isDirectory()).map((entry) => path.join(root, entry.name));
}

/** Outer ones before those inside them. */
export async function createCgroups(names: readonly string[]): Promise<void> {
	for (const hierarchy of await hierarchies()) {
		for (const name of names) {
			await mkdir(path.join(hierarchy, name), {recursive: true});
			if (path.dirname(name) !== '/') await handDownControllers(path.join(hierarchy, path.dirname(name)));
		}
	}
}

/** With cgroup v2 a group has the controllers that its parent hands down; with v1 there is nothing to hand down. */
async function handDownControllers(folder: string): Promise<void> {
	const controllers = await readFile(path.join(folder, 'cgroup.controllers'), 'utf8').catch(() => '');
	for (const controller of controllers.split(/\s+/).filter(Boolean)) {
		await writeFile(path.join(folder, 'cgroup.subtree_control'), `+${controller}`);
	}
}

/** The folders of a cgroup and of those below it, the innermost first: the order in which they can be removed. */
export async function cgroupFolders(name: string): Promise<string[]> {
	const found: string[] = [];
	for (const hierarchy of await hierarchies()) await collect(path.join(hierarchy, name), found);
	return found;
}

async function collect(folder: string, found: string[]): Promise<void> {
	let entries;
	try {
		entries = await readdir(folder, {withFileTypes: true});
	} catch {
		return;
	}
	for (const entry of entries) {
		if (entry.isDirectory()) await collect(path.join(folder, entry.name), found);
	}
	found.push(folder);
}

/** A cgroup whose last process is just ending stays for a moment; the caller looks again. */
export async function removeCgroup(name: string): Promise<void> {
	for (const folder of await cgroupFolders(name)) await rmdir(folder).catch(() => {});
}
