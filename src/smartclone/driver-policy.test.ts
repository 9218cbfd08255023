import {readFileSync} from 'node:fs';
import {describe, expect, test} from 'vitest';
import {storageClass} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {
	defaultPolicy,
	type DriverPolicy,
	driverPolicy,
	driverRows,
	mostRestores,
	policyMistakes,
} from './driver-policy.ts';

const withAnnotation = (name: string, value: string) => storageClass({annotations: {[name]: value}});

describe('driverPolicy', () => {
	test('an unknown driver has one stripe, a window of 8 and restores of any size', () => {
		expect(driverPolicy('csi.example.com', undefined)).toEqual(defaultPolicy);
		expect(defaultPolicy).toMatchObject({stripes: 1, restoreWindow: 8, equalSizeRestore: false, csiClone: 'fallback'});
	});

	test.each(['rbd.csi.ceph.com', 'rook-ceph.rbd.csi.ceph.com', 'openshift-storage.rbd.csi.ceph.com'])(
		'%s restores one volume at a time from each of four stripes',
		(driver) => {
			expect(driverPolicy(driver, undefined)).toMatchObject({stripes: 4, restoreWindow: 1, equalSizeRestore: false});
		},
	);

	test.each(['zfs.csi.openebs.io', 'io.openebs.csi-mayastor', 'csi.vsphere.vmware.com', 'csi.trident.netapp.io'])(
		'%s restores at the size of the source only',
		(driver) => {
			expect(driverPolicy(driver, undefined).equalSizeRestore).toBe(true);
		},
	);

	test('no driver has two rows, and every row says how it is known', () => {
		const drivers = driverRows.flatMap((row) => row.drivers);
		expect(new Set(drivers).size).toBe(drivers.length);
		for (const {source} of driverRows) expect(source).not.toBe('');
	});

	test.each<[annotation: string, text: string, cell: keyof DriverPolicy, value: unknown, mistake?: RegExp]>([
		[annotations.stripes, '2', 'stripes', 2],
		[annotations.stripes, '0', 'stripes', 1, /taken as 1/],
		[annotations.stripes, '1000', 'stripes', 32, /from 1 to 32; taken as 32/],
		[annotations.stripes, '-1', 'stripes', 4, /is "-1" and must be a whole number from 1 to 32; it is ignored/],
		[annotations.stripes, 'two', 'stripes', 4, /ignored/],
		[annotations.stripes, '', 'stripes', 4, /is "" and/],
		[annotations.stripes, '1.5', 'stripes', 4, /ignored/],
		[annotations.restoreWindow, '3', 'restoreWindow', 3],
		[annotations.restoreWindow, '99999', 'restoreWindow', 1000, /taken as 1000/],
		[annotations.restoreWindow, 'many', 'restoreWindow', 1, /ignored/],
		[annotations.restoreSize, 'equal', 'equalSizeRestore', true],
		[annotations.restoreSize, 'any', 'equalSizeRestore', false],
		[annotations.restoreSize, 'Equal', 'equalSizeRestore', false, /one of equal, any; it is ignored/],
		[annotations.clonesDependOnSnapshot, 'true', 'clonesDependOnSnapshot', true],
		[annotations.clonesDependOnSnapshot, 'yes', 'clonesDependOnSnapshot', false, /one of true, false/],
		[annotations.nodeLocal, 'true', 'nodeLocal', true],
		[annotations.nodeLocal, 'toString', 'nodeLocal', false, /ignored/],
		[annotations.mostSnapshots, '3', 'mostSnapshots', 3],
		[annotations.mostSnapshots, 'x', 'mostSnapshots', undefined, /ignored/],
		[annotations.secondsBetweenCuts, '60', 'secondsBetweenCuts', 60],
		[annotations.csiClone, 'first', 'csiClone', 'first'],
		[annotations.csiClone, 'always', 'csiClone', 'never', /one of first, fallback, never/],
		[annotations.csiCloneSize, 'equal', 'equalSizeCsiClone', true],
		[annotations.cutDeadline, '90', 'cutDeadlineSeconds', 90],
		[annotations.restoreDeadline, '90', 'restoreDeadlineSeconds', 90],
		[annotations.restoreDeadline, 'never', 'restoreDeadlineSeconds', undefined, /ignored/],
	])('%s "%s" on the class of a Ceph driver: %s is %s', (name, text, cell, value, mistake) => {
		const given = withAnnotation(name, text);
		expect(driverPolicy('rbd.csi.ceph.com', given)[cell]).toBe(value);
		expect(policyMistakes(given)).toEqual(mistake ? [expect.stringMatching(mistake)] : []);
	});

	test('the class lifts what the row says', () => {
		const lifted = withAnnotation(annotations.restoreSize, 'any');
		expect(driverPolicy('zfs.csi.openebs.io', lifted)).toMatchObject({equalSizeRestore: false, nodeLocal: true});
	});

	test('a window may grow to four times what it begins with', () => {
		expect(mostRestores(driverPolicy('rbd.csi.ceph.com', undefined))).toBe(4);
		expect(mostRestores({...defaultPolicy, restoreWindow: 900})).toBe(1000);
	});
});

/** `stripes` 4 → "stripes 4"; a flag that is on is its name alone. */
function describeCells(cells: Partial<DriverPolicy>): string {
	const words = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
	const texts = Object.entries(cells).map(([name, value]) =>
		value === true ? words(name) : `${words(name)} ${value}`,
	);
	return texts.join(', ') || 'the defaults';
}

test('docs/operating.md has every row', () => {
	const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
	const [, section = ''] = page.split('\n## Storage drivers\n');
	const rows = section
		.split('\n## ')[0]
		?.split('\n')
		.filter((line) => line.startsWith('| `'));
	expect(rows).toEqual(
		driverRows.map(
			({drivers, cells, source}) =>
				`| ${drivers.map((driver) => `\`${driver}\``).join(', ')} | ${describeCells(cells)} | ${source} |`,
		),
	);
});
