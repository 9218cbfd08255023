import {createHash} from 'node:crypto';
import {realpathSync} from 'node:fs';
import path from 'node:path';

/** Every name and place of one cluster. All follow from the checkout's real path, so two checkouts never share one. */
export type Layout = {
	readonly id: string;
	readonly checkout: string;
	/** State, logs, journals, images and the storage pool: inside the checkout, ignored by git. */
	readonly runDir: string;
	/** The kubelets' folders: short, because sockets live there and a socket's path ends at 107 characters. */
	readonly varDir: string;
	/** Sockets and runtime state, gone after a reboot. */
	readonly runtimeDir: string;
	/** The network namespace that all daemons run in. A file here instead of `ip netns`, so that it stays among our own mounts. */
	readonly netnsFile: string;
	/** The host's end of the pair that leads into the namespace. */
	readonly hostInterface: string;
	/** Parent of all pods' cgroups, from the root of each hierarchy. */
	readonly cgroup: string;
	/** CNI writes it into names under /var/lib/cni. */
	readonly cniNetwork: string;
};

export function makeLayout(checkout: string): Layout {
	const id = createHash('sha256').update(checkout).digest('hex').slice(0, 8);
	return {
		id,
		checkout,
		runDir: path.join(checkout, '.onesnap', 'cluster'),
		varDir: `/var/lib/onesnap/${id}`,
		runtimeDir: `/run/onesnap-${id}`,
		netnsFile: `/run/onesnap-${id}/netns`,
		// An interface name ends at 15 characters.
		hostInterface: `onesnap${id}`,
		cgroup: `/onesnap-${id}`,
		cniNetwork: `onesnap-${id}`,
	};
}

/** The layout of the checkout that this file belongs to. */
export function thisLayout(): Layout {
	return makeLayout(realpathSync(path.join(import.meta.dirname, '..', '..')));
}

/** Folders that belong to the cluster alone. */
export function ownFolders(layout: Layout): readonly string[] {
	return [layout.runDir, layout.varDir, layout.runtimeDir];
}

export function isInside(file: string, folder: string): boolean {
	return file === folder || file.startsWith(`${folder}/`);
}
