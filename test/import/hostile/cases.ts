import type {BaseImages} from './base-images.ts';
import type {Canaries, HostileCase} from './case.ts';
import {type FuzzChoices, headerCases, tableCases} from './fuzz.ts';
import {otherFieldCases, otherFormatCases, otherTableCases} from './other-formats.ts';
import {packedCases} from './packed-cases.ts';
import {qcow2Cases} from './qcow2-cases.ts';
import {serverCases} from './server-cases.ts';

/** Each with a name of its own. */
export function allCases(images: BaseImages, canaries: Canaries, fuzz: FuzzChoices): readonly HostileCase[] {
	return [
		...qcow2Cases(images, canaries),
		...otherFormatCases(images, canaries),
		...packedCases(images, canaries),
		...serverCases(images, canaries),
		...headerCases(images),
		...otherFieldCases(images, fuzz),
		...tableCases(images, fuzz),
		...otherTableCases(images, fuzz),
	];
}
