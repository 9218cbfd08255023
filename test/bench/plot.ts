/** Seconds over latency as an SVG file: text that can be kept beside the table it shows. */
import type {Way} from './import-ways.ts';

export interface PlottedRow {
	readonly latencyMs: number;
	readonly seconds: Readonly<Partial<Record<Way, number>>>;
	/** Ways that took longer than they were given: shown as an arrow upwards. */
	readonly stopped: readonly Way[];
}

const names: Readonly<Record<Way, string>> = {
	onesnap: 'onesnap',
	local: 'local convert, no network',
	scratch: 'download, then convert',
	nbdkit: 'nbdkit curl with readahead',
};
const colours: Readonly<Record<Way, string>> = {
	onesnap: '#0b6e4f',
	local: '#888888',
	scratch: '#c8553d',
	nbdkit: '#3d5a98',
};
const [width, height] = [720, 400];
const margin = {left: 56, right: 200, top: 16, bottom: 48};

export function plotOf(rows: readonly PlottedRow[]): string {
	const sorted = rows.toSorted((a, b) => a.latencyMs - b.latencyMs);
	const drawn = (Object.keys(names) as Way[]).filter((way) => sorted.some(({seconds}) => seconds[way] !== undefined));
	const all = sorted.flatMap(({seconds}) => Object.values(seconds));
	const [low, high] = [decadeBelow(Math.min(...all)), decadeAbove(Math.max(...all))];
	const longest = Math.max(1, ...sorted.map(({latencyMs}) => latencyMs));
	const x = (ms: number) => margin.left + (ms / longest) * (width - margin.left - margin.right);
	const y = (seconds: number) => {
		const share = Math.log(seconds / low) / Math.log(high / low);
		return height - margin.bottom - share * (height - margin.top - margin.bottom);
	};
	const right = width - margin.right;
	const grid = ticks(low, high).map(
		(tick) =>
			`<line x1="${margin.left}" x2="${right}" y1="${at(y(tick))}" y2="${at(y(tick))}" stroke="#ddd"/>` +
			`<text x="${margin.left - 6}" y="${at(y(tick) + 4)}" text-anchor="end">${tick}</text>`,
	);
	const marks = sorted.map(
		({latencyMs}) =>
			`<text x="${at(x(latencyMs))}" y="${height - margin.bottom + 18}" text-anchor="middle">${latencyMs}</text>`,
	);
	// Names that would lie on each other are moved down.
	let free = 0;
	const ends = drawn
		.map((way) => ({way, seconds: sorted.at(-1)?.seconds[way] ?? low}))
		.sort((a, b) => b.seconds - a.seconds)
		.map(({way, seconds}) => {
			free = Math.max(free + 16, y(seconds) + 4);
			return `<text x="${right + 8}" y="${at(free)}" fill="${colours[way]}">${names[way]}</text>`;
		});
	const lines = drawn.map((way) => {
		const points = sorted.flatMap(({latencyMs, seconds, stopped}) => {
			const value = seconds[way];
			return value === undefined ? [] : [{x: at(x(latencyMs)), y: at(y(value)), stopped: stopped.includes(way)}];
		});
		const path = `<polyline points="${points.map((point) => `${point.x},${point.y}`).join(' ')}" fill="none" stroke="${colours[way]}" stroke-width="2"/>`;
		return [path, ...points.map((point) => mark(point, colours[way]))].join('\n');
	});
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#333">`,
		'<rect width="100%" height="100%" fill="white"/>',
		...grid,
		...marks,
		`<text x="${at((margin.left + right) / 2)}" y="${height - 10}" text-anchor="middle">latency of a request, ms</text>`,
		`<text transform="translate(14 ${at(height / 2)}) rotate(-90)" text-anchor="middle">seconds</text>`,
		...lines,
		...ends,
		'</svg>\n',
	].join('\n');
}

/** A dot; an arrow upwards for what was not waited for. */
function mark({x, y, stopped}: {x: string; y: string; stopped: boolean}, colour: string): string {
	return stopped
		? `<path d="M${x} ${y} m-5 0 l5 -9 l5 9 z" fill="${colour}"/>`
		: `<circle cx="${x}" cy="${y}" r="3.5" fill="${colour}"/>`;
}

/** 1, 2 and 5 of each decade. */
function ticks(low: number, high: number): number[] {
	const found = [];
	for (let decade = low; decade <= high; decade *= 10) found.push(decade, decade * 2, decade * 5);
	return found.map((tick) => Number(tick.toPrecision(1))).filter((tick) => tick <= high);
}

function decadeBelow(seconds: number): number {
	return 10 ** Math.floor(Math.log10(seconds));
}

function decadeAbove(seconds: number): number {
	return 10 ** Math.ceil(Math.log10(seconds * 1.05));
}

function at(pixels: number): string {
	return pixels.toFixed(1);
}
