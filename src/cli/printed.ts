/** Objects as kubectl's -o has them, and tables in columns. */
import {stringify} from 'yaml';
import type {KubeObject} from '../api/kubernetes.ts';

export function printed(object: KubeObject, output: 'yaml' | 'json' | 'name'): string {
	switch (output) {
		case 'yaml':
			return stringify(object, {lineWidth: 0});
		case 'json':
			return `${JSON.stringify(object, undefined, 4)}\n`;
		case 'name': {
			const [group = ''] = object.apiVersion.includes('/') ? object.apiVersion.split('/', 1) : [];
			return `${object.kind.toLowerCase()}${group && `.${group}`}/${object.metadata.name}\n`;
		}
		default:
			return output satisfies never;
	}
}

const units = [
	['Ti', 2 ** 40],
	['Gi', 2 ** 30],
	['Mi', 2 ** 20],
] as const;

/** A quantity as it was written where that is short, else with three digits: `10Gi`, `1.06Gi`. */
export function shownSize(quantity: string): string {
	const bytes = /^\d{6,}$/.test(quantity) ? Number(quantity) : 0;
	const unit = units.find(([, size]) => bytes >= size);
	return unit ? `${Number((bytes / unit[1]).toPrecision(3))}${unit[0]}` : quantity;
}

const gap = 3;

export function widthsOf(rows: readonly (readonly string[])[]): number[] {
	const most = Math.max(0, ...rows.map((row) => row.length));
	return Array.from({length: most}, (_, column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
}

/** Columns as wide as their widest cell, three spaces between them; the last one is not padded. */
export function table(rows: readonly (readonly string[])[], widths: readonly number[] = widthsOf(rows)): string {
	return rows
		.map((row) =>
			row
				.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd((widths[column] ?? 0) + gap)))
				.join('')
				.trimEnd(),
		)
		.map((line) => `${line}\n`)
		.join('');
}

/** As kubectl words ages: `42s`, `5m30s`, `3h`, `12d`. */
export function age(ms: number): string {
	const seconds = Math.max(0, Math.floor(ms / 1000));
	if (seconds < 120) return `${seconds}s`;
	const minutes = Math.floor(seconds / 60);
	if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
	if (minutes < 180) return `${minutes}m`;
	const hours = Math.floor(minutes / 60);
	return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}
