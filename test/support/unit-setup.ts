import {ensurePackages} from '../cluster/packages.ts';

/** Unit tests make real images, certificates and loop devices. */
export async function setup(): Promise<void> {
	await ensurePackages('unit');
}
