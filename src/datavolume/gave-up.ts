/**
 * What a clone has tried in vain, kept on its DataVolume: durable, so that a restart does not begin with the same again.
 * Pure. The annotation is JSON, and users can write it: what is no record of this very DataVolume counts as nothing. One
 * made from another one's YAML carries it along, and begins with all ways open.
 */
import type {DataVolume} from '../api/datavolume.ts';
import {annotations} from '../api/names.ts';
import {cloneWays, type GivenUpWay} from '../smartclone/strategy.ts';

export interface GaveUp {
	readonly ways: readonly GivenUpWay[];
	/**
	 * UID of the claim, or of the VolumeSnapshot in the clone's namespace, whose snapshot the storage had lost. Once may happen;
	 * the second time the way is given up.
	 */
	readonly lostClaim?: string;
}

export const nothingGivenUp: GaveUp = {ways: []};

const mostMessage = 300;
const mostCode = 64;

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseWay(value: unknown): GivenUpWay[] {
	if (!isRecord(value)) return [];
	const way = cloneWays.find((each) => each === value['way']);
	const {code, message} = value;
	if (way === undefined || typeof code !== 'string' || typeof message !== 'string') return [];
	return [{way, code: code.slice(0, mostCode), message: message.slice(0, mostMessage)}];
}

function parseText(text: string): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(text);
		return isRecord(value) ? value : {};
	} catch {
		return {};
	}
}

export function gaveUpOf({metadata}: DataVolume): GaveUp {
	const text = metadata.annotations?.[annotations.gaveUp];
	if (text === undefined) return nothingGivenUp;
	const {uid, ways, lostClaim} = parseText(text);
	if (uid === undefined || uid !== metadata.uid) return nothingGivenUp;
	const parsed = Array.isArray(ways) ? ways.flatMap(parseWay) : [];
	// One entry a way: what is longer was not written by us.
	const unique = cloneWays.flatMap((way) => parsed.find((each) => each.way === way) ?? []);
	return {ways: unique, ...(typeof lostClaim === 'string' && {lostClaim})};
}

export function formatGaveUp(uid: string, {ways, lostClaim}: GaveUp): string {
	const short = ways.map(({way, code, message}) => ({way, code, message: message.slice(0, mostMessage)}));
	return JSON.stringify({uid, ways: short, ...(lostClaim !== undefined && {lostClaim})});
}

export function isGivenUp({ways}: GaveUp, wanted: GivenUpWay['way']): boolean {
	return ways.some(({way}) => way === wanted);
}

export function withWay(gaveUp: GaveUp, given: GivenUpWay): GaveUp {
	return {...gaveUp, ways: [...gaveUp.ways.filter(({way}) => way !== given.way), given]};
}

/** `snapshot (OutOfRange: too small), csi-clone (…)` */
export function describeGaveUp({ways}: GaveUp): string {
	return ways.map(({way, code, message}) => `${way} (${code}: ${message})`).join(', ');
}
