/** The storage that everything else here stands on. */
import {expect, test} from 'vitest';
import * as resources from '../../src/kube/resources.ts';
import {api, context} from './world.ts';

test('the storage class is of a CSI driver that has a VolumeSnapshotClass', async () => {
	const classes = (await api.list(resources.storageClasses)).items;
	const storageClass = classes.find(({metadata}) =>
		context.storageClass === undefined
			? metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true'
			: metadata.name === context.storageClass,
	);
	const provisioner = storageClass?.provisioner ?? '';
	expect(await api.find(resources.csiDrivers, {name: provisioner})).toBeDefined();
	const snapshotClasses = (await api.list(resources.volumeSnapshotClasses)).items;
	expect(snapshotClasses.map(({driver}) => driver)).toContain(provisioner);
});
