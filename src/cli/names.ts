/** Names as people write them after a command. Pure. */
import {UsageError} from './flags.ts';

const kinds = new Set(['dv', 'dvs', 'datavolume', 'datavolumes', 'datavolume.cdi.kubevirt.io']);

/** `vm-1`, also of `dv/vm-1`. */
export function bareName(given: string): string {
	const [first = '', second, ...more] = given.split('/');
	if (second === undefined) return first;
	if (kinds.has(first) && more.length === 0) return second;
	throw new UsageError([`"${given}" is no name of a DataVolume: write NAME, and its namespace as --namespace`]);
}
