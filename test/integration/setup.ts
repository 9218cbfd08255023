import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {TestProject} from 'vitest/node';
import {startControlPlane} from '../cluster/control-plane.ts';

declare module 'vitest' {
	export interface ProvidedContext {
		/** Path of a kubeconfig whose user may do everything. */
		kubeconfig: string;
	}
}

/** One etcd and one kube-apiserver for all files of this project; tests keep apart by namespaces. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const dir = await mkdtemp(path.join(tmpdir(), 'onesnap-integration-'));
	const controlPlane = await startControlPlane({dir});
	project.provide('kubeconfig', controlPlane.kubeconfig);
	return async () => {
		await controlPlane.stop();
		await rm(dir, {recursive: true, force: true});
	};
}
