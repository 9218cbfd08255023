/** Lines that show how far disks are. Pure. */
import {age} from './printed.ts';

export interface Doing {
	readonly name: string;
	readonly phase: string;
	/** 0 to 100; undefined where nobody counts. */
	readonly percent: number | undefined;
	readonly elapsedMs: number;
	/** Why it does not go on. */
	readonly note: string | undefined;
}

const barCells = 30;

function bar(percent: number): string {
	const full = Math.floor((Math.min(100, Math.max(0, percent)) / 100) * barCells);
	const tip = full < barCells ? '>' : '';
	return `[${'='.repeat(full)}${tip}${' '.repeat(barCells - full - tip.length)}]`;
}

/** Cut at the right edge of the screen: a line that wraps would not be written over. */
export function progressLine({name, phase, percent, elapsedMs, note}: Doing, columns: number): string {
	const share = percent === undefined ? [] : [bar(percent), `${percent.toFixed(1)}%`.padStart(6)];
	const words = [name, ...share, phase || 'Pending', age(elapsedMs), ...(note === undefined ? [] : [note])].join('  ');
	return words.length < columns ? words : `${words.slice(0, Math.max(1, columns - 2))}…`;
}

/** What makes a new plain line: not each percent, but each ten. */
export function gistOf({phase, percent, note}: Doing): string {
	return `${phase} ${percent === undefined ? '' : Math.floor(percent / 10)} ${note ?? ''}`;
}
