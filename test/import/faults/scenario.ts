/** What happens in one run: made from a seed and the run's number alone, so that it can be told and repeated. */
import {Dice} from '../dice.ts';
import type {ImageName} from './images.ts';

/** One thing that goes wrong, at the request with this number (from 0, over all tries) and at those after it. */
export type Fault = {readonly at: number; readonly lasts: number} & FaultDetail;

export type FaultDetail =
	/** The connection is reset after so many bytes of the body, or before any answer. */
	| {readonly kind: 'reset'; readonly afterBytes: number | 'before'}
	/** Nothing more is sent, and the connection stays. */
	| {readonly kind: 'stall'; readonly afterBytes: number | 'before'}
	| {readonly kind: 'refuse'; readonly status: number; readonly retryAfter?: string}
	/** The connection is closed in good order before the body is whole. */
	| {readonly kind: 'truncate'; readonly afterBytes: number}
	/** More bytes than were promised. */
	| {readonly kind: 'overlong'; readonly extraBytes: number}
	| {readonly kind: 'wrongRange'; readonly how: WrongRange}
	/** Whole answers, but every connection is closed under the next request. */
	| {readonly kind: 'goodbye'}
	/** The server goes away with all its connections, and comes back. */
	| {readonly kind: 'restart'; readonly downMs: number};
export type FaultKind = FaultDetail['kind'];

const wrongRanges = ['shifted', 'total', 'missing', 'garbage', 'otherUnit', 'whole', 'unsatisfiable'] as const;
export type WrongRange = (typeof wrongRanges)[number];

/** What the server is, all the time. */
export interface ServerNature {
	/**
	 * `limited` gives less than is asked for; `forgets` answers the first request of a try with a range and every other one with
	 * the whole file; `misplaces` sends each range under the name of another one; `boasts` says Accept-Ranges and gives none.
	 */
	readonly ranges: 'yes' | 'limited' | 'no' | 'boasts' | 'forgets' | 'misplaces';
	readonly validator: 'etag' | 'lastModified' | 'both' | 'weak' | 'none';
	readonly length: 'told' | 'chunked' | 'untilClose';
	readonly redirects: number;
	/** The place where the redirects lead is another one after so many requests, and an old one is forbidden. */
	readonly placeLasts?: number;
	/** Of each answer. */
	readonly bytesPerSecond?: number;
}

/** What the source really is. */
export type Truth =
	| {readonly is: 'sound'}
	/** Another file from this request on. `silently`: without any sign of it but the bytes. */
	| {readonly is: 'changes'; readonly at: number; readonly how: 'sameLength' | 'longer' | 'silently'}
	| {readonly is: 'vanishes'; readonly at: number; readonly status: 404 | 410 | 401 | 403}
	| {readonly is: 'corrupt'}
	| {readonly is: 'cutOff'}
	| {readonly is: 'aPage'}
	| {readonly is: 'tooLarge'};

/** Of one try, the first of which is 0. */
export interface Kill {
	readonly signal: 'SIGKILL' | 'SIGTERM';
	/** After the start, or after this share of the file was served to this try. */
	readonly after: {readonly ms: number} | {readonly share: number; readonly thenMs: number};
}

export interface Scenario {
	readonly seed: number;
	readonly run: number;
	readonly image: ImageName;
	readonly volumeMode: 'Filesystem' | 'Block';
	readonly preallocation: boolean;
	readonly checksum: 'none' | 'right' | 'wrong';
	readonly nature: ServerNature;
	readonly truth: Truth;
	readonly faults: readonly Fault[];
	readonly kills: readonly Kill[];
}

export interface ScenarioChoices {
	readonly seed: number;
	readonly run: number;
	readonly images: readonly ImageName[];
	/** Whether block devices can be made here. */
	readonly devices: boolean;
}

export function makeScenario({seed, run, images, devices}: ScenarioChoices): Scenario {
	const dice = new Dice(seed, run);
	const truth = makeTruth(dice);
	const image = dice.pick(images);
	const nature = makeNature(dice, truth);
	return {
		seed,
		run,
		image,
		volumeMode: devices && dice.percent(20) ? 'Block' : 'Filesystem',
		preallocation: dice.percent(10),
		checksum: truth.is === 'corrupt' ? 'wrong' : onlyChecksumTells(truth, image) || dice.percent(35) ? 'right' : 'none',
		nature,
		truth,
		faults: Array.from({length: dice.whole(1, 5)}, () => makeFault(dice, nature)).sort((a, b) => a.at - b.at),
		kills: Array.from(
			{
				length: dice.weighted([
					[40, 0],
					[30, 1],
					[20, 2],
					[10, 3],
				]),
			},
			() => makeKill(dice),
		), // prettier-ignore
	};
}

/** A change without any sign, and a raw disk of which the end is missing. */
function onlyChecksumTells(truth: Truth, image: ImageName): boolean {
	return (truth.is === 'changes' && truth.how === 'silently') || (truth.is === 'cutOff' && image === 'raw');
}

function makeTruth(dice: Dice): Truth {
	const is = dice.weighted<Truth['is']>([
		[60, 'sound'],
		[16, 'changes'],
		[8, 'vanishes'],
		[6, 'corrupt'],
		[4, 'cutOff'],
		[3, 'aPage'],
		[3, 'tooLarge'],
	]);
	switch (is) {
		case 'changes':
			return {is, at: dice.whole(1, 12), how: dice.pick(['sameLength', 'sameLength', 'longer', 'silently'])};
		case 'vanishes':
			return {is, at: dice.whole(0, 10), status: dice.pick([404, 410, 401, 403])};
		case 'sound':
		case 'corrupt':
		case 'cutOff':
		case 'aPage':
		case 'tooLarge':
			return {is};
	}
	return is satisfies never;
}

function makeNature(dice: Dice, truth: Truth): ServerNature {
	const ranges = dice.weighted<ServerNature['ranges']>([
		[55, 'yes'],
		[10, 'limited'],
		[12, 'no'],
		[8, 'boasts'],
		[8, 'forgets'],
		[7, 'misplaces'],
	]);
	const length = dice.weighted<ServerNature['length']>([
		[70, 'told'],
		[15, 'chunked'],
		[15, 'untilClose'],
	]);
	const redirects = dice.weighted([
		[70, 0],
		[20, 1],
		[10, 3],
	] as const); // prettier-ignore
	return {
		ranges,
		// What changes must show it, or nobody could know; see `silently` for the other case.
		validator:
			truth.is === 'changes'
				? truth.how === 'silently'
					? 'none'
					: dice.pick(['etag', 'lastModified', 'both', 'weak'])
				: dice.pick(['etag', 'lastModified', 'both', 'weak', 'none']),
		length,
		redirects,
		...(redirects > 0 && dice.percent(40) && {placeLasts: dice.whole(4, 10)}),
		...(dice.percent(25) && {bytesPerSecond: dice.whole(1, 8) * 1024 * 1024}),
	};
}

/** Fewer than a worker tries in a row, mostly: the rest is for the next start of the worker. */
function makeFault(dice: Dice, nature: ServerNature): Fault {
	const place = {
		at: dice.percent(25) ? dice.whole(0, 2) : dice.whole(0, 24),
		lasts: dice.weighted([
			[60, 1],
			[30, 3],
			[10, 9],
		] as const),
	}; // prettier-ignore
	const bytes = () =>
		dice.weighted([
			[20, 0],
			[20, dice.whole(1, 2000)],
			[60, dice.whole(1, 400_000)],
		] as const); // prettier-ignore
	const kind = dice.pick<FaultKind>([
		'reset',
		'stall',
		'refuse',
		'refuse',
		'truncate',
		'overlong',
		'wrongRange',
		'goodbye',
		'restart',
	]);
	switch (kind) {
		case 'reset':
			return {...place, kind, afterBytes: dice.percent(30) ? 'before' : bytes()};
		case 'stall':
			return {...place, lasts: Math.min(2, place.lasts), kind, afterBytes: dice.percent(30) ? 'before' : bytes()};
		case 'refuse': {
			const retryAfter = dice.pick([undefined, '0', '1', '3600', 'Wed, 21 Oct 2015 07:28:00 GMT', 'soon', '-5']);
			const status = dice.pick([503, 503, 429, 500, 502, 504, 408, 425]);
			return {...place, kind, status, ...(retryAfter !== undefined && {retryAfter})};
		}
		case 'truncate':
			// Where nothing tells how long the body should be, an early end cannot be told from the right one.
			if (nature.length === 'untilClose') return {...place, kind: 'reset', afterBytes: bytes()};
			return {...place, kind, afterBytes: bytes()};
		case 'overlong':
			return {...place, kind, extraBytes: dice.pick([1, 512, 70_000])};
		case 'wrongRange':
			return {...place, kind, how: dice.pick(wrongRanges)};
		case 'goodbye':
			return {...place, kind};
		case 'restart':
			return {...place, lasts: 1, kind, downMs: dice.whole(0, 1200)};
	}
	return kind satisfies never;
}

function makeKill(dice: Dice): Kill {
	return {
		signal: dice.percent(85) ? 'SIGKILL' : 'SIGTERM',
		after: dice.percent(20)
			? {ms: dice.whole(0, 700)}
			: {
					share: dice.pick([0, dice.whole(1, 99) / 100, dice.whole(1, 99) / 100, 1]),
					thenMs: dice.pick([0, dice.whole(0, 150)]),
				}, // prettier-ignore
	};
}

/** In one line, for people. */
export function describeScenario(scenario: Scenario): string {
	const {image, volumeMode, preallocation, checksum, nature, truth, faults, kills} = scenario;
	const word = ({at, lasts, kind, ...rest}: Fault) =>
		`${kind}@${at}${lasts > 1 ? `x${lasts}` : ''}${Object.values(rest)
			.map((value) => `:${value}`)
			.join('')}`; // prettier-ignore
	const killed = ({signal, after}: Kill) =>
		`${signal}@${'ms' in after ? `${after.ms}ms` : `${after.share * 100}%+${after.thenMs}ms`}`;
	const described = [
		image,
		volumeMode,
		...(preallocation ? ['preallocated'] : []),
		`checksum:${checksum}`,
		`ranges:${nature.ranges}`,
		`validator:${nature.validator}`,
		`length:${nature.length}`,
		...(nature.redirects > 0 ? [`redirects:${nature.redirects}`] : []),
		...(nature.placeLasts === undefined ? [] : [`place lasts ${nature.placeLasts}`]),
		...(nature.bytesPerSecond === undefined ? [] : [`${nature.bytesPerSecond / 1024 / 1024}MiB/s`]),
		`truth:${Object.values(truth).join(':')}`,
		...faults.map(word),
		...kills.map(killed),
	];
	return described.join(' ');
}
