import {describe, expect, test} from 'vitest';
import {storageClass} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {defaultPolicy, driverPolicy} from './driver-policy.ts';

const withAnnotation = (name: string, value: string) => storageClass({annotations: {[name]: value}});

describe('driverPolicy', () => {
	test('an unknown driver has one stripe, a window of 8 and restores of any size', () => {
		expect(driverPolicy('csi.example.com', undefined)).toEqual(defaultPolicy);
		expect(defaultPolicy).toMatchObject({stripes: 1, restoreWindow: 8, equalSizeRestore: false});
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

	test.each([
		['2', 2],
		['0', 1],
		['1000', 32],
		['-1', 4],
		['two', 4],
		['', 4],
		['1.5', 4],
	])('stripes "%s" on the class of a Ceph driver are %i', (text, stripes) => {
		expect(driverPolicy('rbd.csi.ceph.com', withAnnotation(annotations.stripes, text)).stripes).toBe(stripes);
	});

	test.each([
		['3', 3],
		['0', 1],
		['99999', 1000],
		['many', 8],
	])('a restore window of "%s" is %i', (text, window) => {
		expect(driverPolicy('any', withAnnotation(annotations.restoreWindow, text)).restoreWindow).toBe(window);
	});

	test('the class overrides in both directions whether sizes must be equal', () => {
		expect(driverPolicy('any', withAnnotation(annotations.restoreSize, 'equal')).equalSizeRestore).toBe(true);
		const lifted = withAnnotation(annotations.restoreSize, 'any');
		expect(driverPolicy('zfs.csi.openebs.io', lifted).equalSizeRestore).toBe(false);
	});
});
