import {describe, expect, test} from 'vitest';
import {parseQuantity} from '../api/quantity.ts';
import {capabilitiesOf, parseSets, provisionerRows} from './known-provisioners.ts';

describe('the table of provisioners', () => {
	const cells = provisionerRows.flatMap(({variants = [], ...row}) => [
		row,
		...variants.map((variant) => ({...row, ...variant})),
	]);

	test('has only property sets and sizes that can be read', () => {
		for (const {sets, minimumSize} of cells) {
			expect(() => parseSets(sets)).not.toThrow();
			if (minimumSize !== undefined) expect(parseQuantity(minimumSize)).toBeDefined();
		}
	});

	test('has each provisioner once', () => {
		const provisioners = provisionerRows.flatMap(({provisioners}) => provisioners);
		expect(provisioners).toEqual([...new Set(provisioners)]);
	});
});

type Row = readonly [provisioner: string, parameters: Readonly<Record<string, string>>, sets: string, other?: object];

const csiClone = {strategy: 'csi-clone'};
const snapshots = {strategy: 'snapshot', cronFormat: 'snapshot'};

const rows: readonly Row[] = [
	['kubevirt.io.hostpath-provisioner', {}, 'Of'],
	['kubevirt.io.hostpath-provisioner', {overlayCSI: 'true'}, 'Xf'],
	['nfs.csi.k8s.io', {}, 'Xf'],
	['rbd.csi.ceph.com', {}, 'Xb Ob Of', csiClone],
	['rook-ceph.rbd.csi.ceph.com', {}, 'Xb Ob Of', {...csiClone, cronFormat: 'snapshot'}],
	['openshift-storage.cephfs.csi.ceph.com', {}, 'Xf Of', csiClone],
	['csi-unity.dellemc.com', {protocol: 'FC'}, 'Xb Ob Of Rb Rf'],
	['csi-unity.dellemc.com', {protocol: 'NFS'}, 'Xf Of Rf'],
	['csi-powermax.dellemc.com', {}, 'Xb Ob Of Rb', csiClone],
	['csi-powermax.dellemc.com', {'csi.storage.k8s.io/fstype': 'nfs'}, 'Xf Of Rf'],
	['csi-powerstore.dellemc.com', {}, 'Xb Ob Of Rb', {strategy: 'copy'}],
	['csi-powerstore.dellemc.com', {'csi.storage.k8s.io/fstype': 'nfs'}, 'Xf Of Rf'],
	['ebs.csi.aws.com', {}, 'Ob'],
	['ebs.csi.aws.com', {type: 'io1'}, 'Ob', {minimumSize: '4Gi'}],
	['ebs.csi.aws.com', {type: 'io2'}, 'Xb Ob Of', {minimumSize: '4Gi'}],
	['ebs.csi.aws.com', {type: 'gp3'}, 'Ob', {minimumSize: '1Gi'}],
	['pd.csi.storage.gke.io', {type: 'pd-ssd'}, 'Ob Of', snapshots],
	['pd.csi.storage.gke.io', {type: 'hyperdisk-balanced'}, 'Xb Ob Of', {...snapshots, minimumSize: '4Gi'}],
	['xspc.csi.hpe.com', {}, '', {minimumSize: '1Gi'}],
	['vpc.file.csi.ibm.io', {profile: 'dp2'}, 'Xf Of', {...snapshots, minimumSize: '10Gi'}],
	['vpc.file.csi.ibm.io', {profile: 'rfs', vmState: 'true'}, 'Of', {...snapshots, minimumSize: '1Gi'}],
	['pxd.portworx.com', {repl: '3'}, 'Xb Xf Ob Of', csiClone],
	['pxd.portworx.com', {sharedv4: 'true'}, 'Xf Of', csiClone],
	['pxd.portworx.com', {backend: 'pure_block'}, 'Xb Ob Of', csiClone],
	['csi.trident.netapp.io', {backendType: 'ontap-nas-economy'}, 'Xf Of', snapshots],
	['csi.trident.netapp.io', {backendType: 'ontap-san'}, 'Xb', snapshots],
	[
		'csi.trident.netapp.io',
		{backendType: 'google-cloud-netapp-volumes', selector: 'performance=flex'},
		'Xf Of',
		{...snapshots, minimumSize: '1Gi'},
	],
	['topolvm.io', {}, 'Ob Of', {strategy: 'copy'}],
	['infinibox-csi-driver', {storage_protocol: 'nvme'}, 'Xb Ob Of', csiClone],
	['infinibox-csi-driver', {storage_protocol: 'nfs_treeq'}, 'Xf Of', csiClone],
	['csi.vsphere.vmware.com', {}, 'Ob Of'],
	['csi.vsphere.vmware.com', {'csi.storage.k8s.io/fstype': 'nfs4'}, 'Xf Ob Of'],
	['driver.longhorn.io', {}, 'Ob'],
	['driver.longhorn.io', {migratable: 'true', fsType: 'ext4'}, 'Xb Ob'],
	['driver.longhorn.io', {nfsOptions: 'soft', fsType: 'ext4'}, 'Xf Of'],
	['driver.longhorn.io', {fsType: 'ext4'}, 'Of'],
	['csi.san.synology.com', {}, 'Xb Ob Of', {...csiClone, minimumSize: '1Gi'}],
	['csi.san.synology.com', {protocol: 'smb'}, 'Xf Of', {...csiClone, minimumSize: '1Gi'}],
];

describe('capabilitiesOf', () => {
	const full = rows.map(
		([provisioner, parameters, sets, other = {}]) => [provisioner, parameters, sets, other] as const,
	);

	test.each(full)('knows %s %o', (provisioner, parameters, sets, other) => {
		const none = {strategy: undefined, cronFormat: undefined, minimumSize: undefined};
		expect(capabilitiesOf(provisioner, parameters)).toEqual({...none, sets, ...other});
	});

	test.each([
		['csi.trident.netapp.io', {}],
		['csi.trident.netapp.io', {backendType: 'google-cloud-netapp-volumes'}],
		['infinibox-csi-driver', {}],
		['csi.san.synology.com', {protocol: 'other'}],
	])('says that it does not know these parameters of %s: %o', (provisioner, parameters) => {
		expect(capabilitiesOf(provisioner, parameters)).toBe('unknown parameters');
	});

	test.each(['example.com/nfs', 'kubernetes.io/no-provisioner'])('says that it does not know %s', (provisioner) => {
		expect(capabilitiesOf(provisioner)).toBe('unknown provisioner');
	});
});

describe('parseSets', () => {
	test('reads them in their order', () => {
		expect(parseSets('Xb Of Rf')).toEqual([
			{accessModes: ['ReadWriteMany'], volumeMode: 'Block'},
			{accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem'},
			{accessModes: ['ReadOnlyMany'], volumeMode: 'Filesystem'},
		]);
	});

	test.each(['Q', 'Xbb', 'bX'])('refuses %s', (sets) => {
		expect(() => parseSets(sets)).toThrow('is no list of property sets');
	});
});
