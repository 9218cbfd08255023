import {createHash} from 'node:crypto';

/**
 * An id becomes a file name in the pool, and CSI allows any UTF-8 in a name: so only harmless names are taken as they are (the
 * sidecars' `pvc-UID` and `snapshot-UID` among them: logs stay readable), every other one is hashed.
 */
const harmless = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** Ends that files beside an image have (records.ts, durable.ts); an id must never look like one of them. */
const reservedEnd = /\.(json|tmp)$/;
const hashed = /^sha256-[0-9a-f]{64}$/;

/** The id of the volume or snapshot with this name; the same name always gives the same id, and two names never share one. */
export function idOf(name: string): string {
	if (isId(name) && !hashed.test(name)) return name;
	return `sha256-${createHash('sha256').update(name).digest('hex')}`;
}

/** Whether this driver could have made the id. Whatever else a caller sends is the id of nothing, and never part of a path. */
export function isId(id: string): boolean {
	return harmless.test(id) && !reservedEnd.test(id);
}
