/** An explanation as text. Pure. */
import {age} from '../printed.ts';
import type {Explanation} from './explanation.ts';
import type {Unread} from './look.ts';
import type {Step} from './steps.ts';
import type {Waiting} from './waiting.ts';
import type {WayTold} from './ways.ts';

const leastColumns = 50;

/** Words in lines of at most so many characters; those after the first begin under it. */
export function wrap(text: string, {indent, columns}: {readonly indent: number; readonly columns: number}): string {
	const room = Math.max(leastColumns, columns) - indent;
	const lines = [''];
	for (const word of text.split(' ')) {
		const line = lines.at(-1) ?? '';
		if (line !== '' && line.length + 1 + word.length > room) lines.push(word);
		else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
	}
	return lines.join(`\n${' '.repeat(indent)}`);
}

/** A label, and words beside it. */
function beside(
	label: string,
	text: string,
	{width, columns, margin = 0}: {width: number; columns: number; margin?: number},
) {
	return `${' '.repeat(margin)}${label.padEnd(width)}${wrap(text, {indent: margin + width, columns})}\n`;
}

function renderWaiting({reason, message, toDo, isFinal}: Waiting, columns: number): string {
	const at = {width: 11, columns};
	const words = message === '' ? reason : `${reason}: ${message}`;
	return `\n${beside(isFinal ? 'Failed by' : 'Waits for', words, at)}${toDo === undefined ? '' : beside('To do', toDo, at)}`;
}

function renderWay({way, state, how, reasons}: WayTold, isSame: boolean, columns: number): string {
	const at = {width: 12, columns, margin: 2};
	if (how !== undefined) return beside(way, `${state}: ${how}`, at);
	if (state === 'not needed') return beside(way, state, at);
	if (reasons.length === 0) return beside(way, isSame ? 'not possible, for the same reason' : 'not taken', at);
	const told = reasons.map(
		({code, message, remedy}) => `${beside('', `${code}: ${message}`, at)}${beside('', `possible with ${remedy}`, at)}`,
	);
	return `${beside(way, 'not possible', at)}${told.join('')}`;
}

function renderWays(ways: readonly WayTold[], columns: number): string {
	if (ways.length === 0) return '';
	// Each reason is told once, although it may stand against two ways.
	const [first] = ways;
	const isSame = (first?.reasons.length ?? 0) > 0;
	return `\nWays, the best first\n${ways.map((way) => renderWay(way, isSame, columns)).join('')}`;
}

function renderSteps(steps: readonly Step[], columns: number): string {
	if (steps.length === 0) return '';
	const lines = steps.map(({atMs, what, tookMs}) => {
		const at = new Date(atMs).toISOString().slice(11, 19);
		const took = tookMs === undefined ? '' : `+${age(tookMs)}`;
		return beside(`${at}  ${took}`, what, {width: 16, columns, margin: 2});
	});
	return `\nSteps (UTC, whole seconds)\n${lines.join('')}`;
}

function renderUnread(unread: readonly Unread[], columns: number): string {
	if (unread.length === 0) return '';
	const list = unread.map(({what, why}) => `${what} (${why})`).join(', ');
	const text = `Could not be read: ${list}. What is told is what the controller wrote on the objects that you may read`;
	return `\n${wrap(text, {indent: 0, columns})}\n`;
}

/** @param columns of the screen; Infinity where nothing is to be wrapped. */
export function render({namespace, name, summary, facts, waiting, ways, steps, unread}: Explanation, columns: number) {
	const known = facts.map((fact) => beside(fact.name, fact.text, {width: 11, columns})).join('');
	return [
		`${wrap(`DataVolume ${namespace}/${name}: ${summary}`, {indent: 0, columns})}\n\n${known}`,
		waiting ? renderWaiting(waiting, columns) : '',
		renderWays(ways, columns),
		renderSteps(steps, columns),
		renderUnread(unread, columns),
	].join('');
}
