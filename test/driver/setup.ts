import type {TestProject} from 'vitest/node';
import {ensureBinary} from '../cluster/binaries.ts';
import {ensureDefinitions} from '../cluster/definitions.ts';
import {ensurePackages} from '../cluster/packages.ts';
import {isLocal} from './is-local.ts';

declare module 'vitest' {
	export interface ProvidedContext {
		/** Path of the program. */
		csiSanity: string;
	}
}

/** What the local cluster would bring along; these tests do without one. */
export default async function setup(project: TestProject): Promise<void> {
	if (!isLocal) return;
	await ensurePackages('storage');
	await ensureDefinitions();
	project.provide('csiSanity', await ensureBinary('csi-sanity'));
}
