/** CDIConfig.status: what holds, from what is wished and what there is. Pure. */
import type {CdiConfigSpec, CdiConfigStatus, ResourceRequirements} from '../api/cdi-config.ts';
import {parseQuantity} from '../api/quantity.ts';

/** Share of a Filesystem claim that its file system keeps for itself, where nobody says another. */
const defaultOverhead = '0.06';

/** Those of the worker: no limit of CPU, which would stretch an import as long as its image is compressed. */
const defaultResources = {
	requests: {cpu: '100m', memory: '64Mi'},
	limits: {memory: '600Mi'},
} as const satisfies ResourceRequirements;

const isShare = (text: string | undefined): text is string => text !== undefined && /^(0(\.\d{1,3})?|1)$/.test(text);

function overheads({filesystemOverhead: wished}: CdiConfigSpec, storageClasses: readonly string[]) {
	const global = isShare(wished?.global) ? wished.global : defaultOverhead;
	const ofClass = (name: string) => {
		const own = wished?.storageClass?.[name];
		return [name, isShare(own) ? own : global] as const;
	};
	return {global, storageClass: Object.fromEntries(storageClasses.toSorted().map(ofClass))};
}

/** For comparisons: a number in the resource's own unit. */
function amount(quantity: string | number): number {
	const plain = Number(quantity);
	if (!Number.isNaN(plain)) return plain;
	const text = String(quantity);
	return text.endsWith('m') ? Number(text.slice(0, -1)) / 1000 : Number(parseQuantity(text) ?? 0n);
}

/** Resource by resource. No Pod is admitted whose request is above its limit, so a default gives way to a limit. */
function resourcesOf({podResourceRequirements: wished = {}}: CdiConfigSpec): ResourceRequirements {
	const limits: Readonly<Record<string, string | number>> = {...defaultResources.limits, ...wished.limits};
	const requests = Object.entries(defaultResources.requests).map(([name, request]) => {
		const limit = limits[name];
		return [name, limit !== undefined && amount(limit) < amount(request) ? limit : request] as const;
	});
	return {limits, requests: {...Object.fromEntries(requests), ...wished.requests}};
}

/** @param storageClasses names of all there are */
export function configStatus(spec: CdiConfigSpec, storageClasses: readonly string[]): CdiConfigStatus {
	const {importProxy, scratchSpaceStorageClass: scratch, preallocation = false, imagePullSecrets} = spec;
	return {
		filesystemOverhead: overheads(spec, storageClasses),
		defaultPodResourceRequirements: resourcesOf(spec),
		preallocation,
		scratchSpaceStorageClass: scratch !== undefined && storageClasses.includes(scratch) ? scratch : '',
		...(importProxy && {importProxy}),
		...(imagePullSecrets && imagePullSecrets.length > 0 && {imagePullSecrets}),
	};
}
