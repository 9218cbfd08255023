/** The storage that everything else here stands on. */
import {expect, test} from 'vitest';
import * as resources from '../../src/kube/resources.ts';
import {ensureBinary} from '../cluster/binaries.ts';
import {runBehaviours} from '../cluster/csi/behaviour.e2e.ts';
import {runSanity} from '../cluster/csi/sanity.e2e.ts';
import {runTopologyBehaviours} from '../cluster/csi/topology.e2e.ts';
import {api, context, local} from './world.ts';

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

if (local) {
	test('csi-sanity of csi-test finds no fault in the local driver', async () => {
		const {passed, failed, output} = await runSanity(await ensureBinary('csi-sanity'));
		if (failed > 0) throw new Error(output);
		expect(passed).toBeGreaterThan(100);
	});

	test('the local driver keeps contents, shares blocks, grows, and survives its own death', async () => {
		const {passed, failed, output} = await runBehaviours();
		if (failed > 0) throw new Error(output);
		expect(passed).toBeGreaterThan(0);
	});

	test('the local driver serves two nodes, with one pool for both or with one for each', async () => {
		const {passed, failed, output} = await runTopologyBehaviours();
		if (failed > 0) throw new Error(output);
		expect(passed).toBeGreaterThan(0);
	});
}
