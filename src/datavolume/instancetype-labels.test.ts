import {describe, expect, test} from 'vitest';
import {claim, dataVolume, snapshot} from '../../test/support/builders.ts';
import {inheritedLabels} from './instancetype-labels.ts';

const instancetype = {'instancetype.kubevirt.io/default-instancetype': 'u1.medium'};
const preference = {'instancetype.kubevirt.io/default-preference': 'fedora'};

describe('labels of the instance type', () => {
	test('are inherited, and no others', () => {
		const source = claim({labels: {...instancetype, ...preference, team: 'a', 'instancetype.kubevirt.io/other': 'x'}});
		expect(inheritedLabels(dataVolume(), source)).toEqual({...instancetype, ...preference});
	});

	test('are inherited from the first source that has some', () => {
		expect(inheritedLabels(dataVolume(), claim(), undefined, snapshot({labels: preference}))).toEqual(preference);
		expect(inheritedLabels(dataVolume(), claim({labels: instancetype}), snapshot({labels: preference}))).toEqual(
			instancetype,
		);
	});

	test('are not inherited where the heir has one of them', () => {
		expect(inheritedLabels(dataVolume({labels: preference}), claim({labels: instancetype}))).toEqual({});
	});

	test('are none where no source has any', () => {
		expect(inheritedLabels(dataVolume(), claim(), undefined)).toEqual({});
	});
});
