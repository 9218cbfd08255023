import {expect, test} from 'vitest';
import {snapshotClass, storageClass, storageProfile} from '../../test/support/builders.ts';
import {annotations} from '../api/names.ts';
import {registry} from '../process/metrics.ts';
import {noProvisioner} from './known-provisioners.ts';
import {profileInfo, ProfileInfos} from './metrics.ts';
import {resolveProfile} from './resolve.ts';

function info(of = storageClass(), profile = storageProfile(), snapshotClasses = [snapshotClass()]) {
	return profileInfo(of, resolveProfile({storageClass: of, profile, snapshotClasses}));
}

const many = {accessModes: ['ReadWriteMany'], volumeMode: 'Block'} as const;

test('CDI §13.18: storageprofile_info says what disks of a class can do', () => {
	expect(info()).toEqual({
		...{storageclass: 'fast', provisioner: 'csi.example.com', complete: 'false'},
		...{default: 'false', virtdefault: 'false', rwx: 'false', smartclone: 'true', degraded: 'true'},
	});
	const best = storageClass({
		annotations: {[annotations.defaultStorageClass]: 'true', [annotations.defaultVirtStorageClass]: 'true'},
	});
	expect(info(best, storageProfile({spec: {claimPropertySets: [many]}}))).toMatchObject({
		...{complete: 'true', default: 'true', virtdefault: 'true', rwx: 'true', smartclone: 'true', degraded: 'false'},
	});
	expect(info(undefined, undefined, [])).toMatchObject({smartclone: 'false'});
});

test('a class that makes no disks is not called incomplete', () => {
	expect(info(storageClass({provisioner: noProvisioner}))).toMatchObject({complete: 'true'});
});

test('there is one series for each class, and none for one that is gone', async () => {
	const infos = new ProfileInfos();
	const series = async () => {
		const [metric] = (await registry.getMetricsAsJSON()).filter(
			({name}) => name === 'kubevirt_cdi_storageprofile_info',
		);
		return metric && 'values' in metric ? metric.values.map(({labels}) => labels) : [];
	};
	infos.show('fast', info());
	infos.show('fast', info(undefined, undefined, []));
	expect(await series()).toEqual([expect.objectContaining({storageclass: 'fast', smartclone: 'false'})]);
	infos.show('fast', undefined);
	expect(await series()).toEqual([]);
});
