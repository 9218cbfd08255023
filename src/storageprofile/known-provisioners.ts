/**
 * What CDI knows of provisioners: how claims of them can look, which way it clones them, the smallest claim they make. A table,
 * row by row as CDI 1.66 has it (kubevirt/containerized-data-importer at c07cdb6fb), because users and consoles know its
 * choices. What onesnap knows of how drivers clone is another table: smartclone/driver-policy.ts.
 */
import type {AccessMode, VolumeMode} from '../api/kubernetes.ts';
import type {ClaimPropertySet, CloneStrategy} from '../api/storage-profile.ts';

export interface Capabilities {
	/**
	 * In order of preference: X is ReadWriteMany, O ReadWriteOnce, R ReadOnlyMany; b is Block, f Filesystem. Empty where
	 * nothing is known.
	 */
	readonly sets: string;
	/** Undefined: `snapshot` where a VolumeSnapshotClass of the driver is there, else `copy`. */
	readonly strategy?: CloneStrategy | undefined;
	/** How images that are imported again and again are kept. Default `pvc`. */
	readonly cronFormat?: 'snapshot' | undefined;
	/** Smallest claim that the storage makes. */
	readonly minimumSize?: string | undefined;
}

export type Parameters = Readonly<Record<string, string>>;

/** Classes with other parameters: its cells replace those of the row. The first that fits. */
export interface Variant extends Partial<Capabilities> {
	readonly when: (parameters: Parameters) => boolean;
}

export interface ProvisionerRow extends Capabilities {
	readonly provisioners: readonly string[];
	readonly variants?: readonly Variant[];
	/** A class that fits none of the variants is not known. */
	readonly variantsOnly?: boolean;
}

const text = (parameters: Parameters, name: string) => (parameters[name] ?? '').toLowerCase();
const is =
	(name: string, ...values: readonly string[]) =>
	(parameters: Parameters) =>
		values.includes(text(parameters, name));
const has = (name: string) => (parameters: Parameters) => parameters[name] !== undefined;
const fsType = (parameters: Parameters) =>
	text(parameters, 'csi.storage.k8s.io/fstype') || text(parameters, 'fsType') || text(parameters, 'fstype');
const isNfsType = (parameters: Parameters) => fsType(parameters) === 'nfs';
const all =
	(...conditions: readonly Variant['when'][]) =>
	(parameters: Parameters) =>
		conditions.every((condition) => condition(parameters));

const cephs = (driver: string, ...clusters: readonly string[]) => clusters.map((cluster) => `${cluster}.${driver}`);
const sharedFiles = {sets: 'Xf Of Rf', strategy: undefined};
const snapshots = {strategy: 'snapshot', cronFormat: 'snapshot'} as const;

export const provisionerRows: readonly ProvisionerRow[] = [
	{
		provisioners: ['kubevirt.io.hostpath-provisioner', 'kubevirt.io/hostpath-provisioner', 'k8s.io/minikube-hostpath'],
		sets: 'Of',
		variants: [{when: has('overlayCSI'), sets: 'Xf'}],
	},
	{provisioners: ['nfs.csi.k8s.io', 'k8s-sigs.io/nfs-subdir-external-provisioner'], sets: 'Xf'},
	{provisioners: ['kubernetes.io/rbd'], sets: 'Xb Ob Of'},
	{provisioners: ['rbd.csi.ceph.com'], sets: 'Xb Ob Of', strategy: 'csi-clone'},
	{
		provisioners: cephs('rbd.csi.ceph.com', 'rook-ceph', 'openshift-storage'),
		sets: 'Xb Ob Of',
		strategy: 'csi-clone',
		cronFormat: 'snapshot',
	},
	{
		provisioners: ['cephfs.csi.ceph.com', ...cephs('cephfs.csi.ceph.com', 'rook-ceph', 'openshift-storage')],
		sets: 'Xf Of',
		strategy: 'csi-clone',
	},
	{provisioners: ['linstor.csi.linbit.com'], sets: 'Xb Ob Of Rb Rf'},
	{
		provisioners: ['csi-unity.dellemc.com'],
		sets: 'Xb Ob Of Rb Rf',
		variants: [{when: is('protocol', 'nfs'), sets: 'Xf Of Rf'}],
	},
	{
		provisioners: ['csi-vxflexos.dellemc.com'],
		sets: 'Xb Ob Of Rb Rf',
		strategy: 'csi-clone',
		variants: [{when: isNfsType, ...sharedFiles}],
	},
	{provisioners: ['csi-isilon.dellemc.com'], sets: 'Xf Of Rf', strategy: 'csi-clone'},
	{
		provisioners: ['csi-powermax.dellemc.com'],
		sets: 'Xb Ob Of Rb',
		strategy: 'csi-clone',
		variants: [{when: isNfsType, ...sharedFiles}],
	},
	{
		provisioners: ['csi-powerstore.dellemc.com'],
		sets: 'Xb Ob Of Rb',
		strategy: 'copy',
		variants: [{when: isNfsType, ...sharedFiles}],
	},
	{provisioners: ['kubernetes.io/storageos', 'storageos'], sets: 'Of'},
	{provisioners: ['kubernetes.io/aws-ebs'], sets: 'Ob'},
	{
		provisioners: ['ebs.csi.aws.com'],
		sets: 'Ob',
		variants: [
			{when: is('type', 'io1'), minimumSize: '4Gi'},
			{when: is('type', 'io2'), sets: 'Xb Ob Of', minimumSize: '4Gi'},
			{when: is('type', 'gp2', 'gp3'), minimumSize: '1Gi'},
		],
	},
	{provisioners: ['efs.csi.aws.com'], sets: 'Xf Of'},
	{provisioners: ['kubernetes.io/azure-disk', 'disk.csi.azure.com'], sets: 'Ob'},
	{provisioners: ['kubernetes.io/azure-file', 'file.csi.azure.com'], sets: 'Xf'},
	{provisioners: ['kubernetes.io/gce-pd'], sets: 'Ob Of'},
	{
		provisioners: ['pd.csi.storage.gke.io'],
		sets: 'Ob Of',
		...snapshots,
		variants: [
			{
				when: is('type', 'hyperdisk-balanced', 'hyperdisk-balanced-high-availability'),
				sets: 'Xb Ob Of',
				minimumSize: '4Gi',
			},
		],
	},
	{provisioners: ['hspc.csi.hitachi.com'], sets: 'Xb Ob Of', strategy: 'csi-clone', minimumSize: '1Gi'},
	{provisioners: ['xspc.csi.hpe.com'], sets: '', minimumSize: '1Gi'},
	{provisioners: ['csi.hpe.com', 'block.csi.ibm.com'], sets: 'Xb Ob Of', strategy: 'csi-clone'},
	{provisioners: ['spectrumscale.csi.ibm.com'], sets: 'Xf Of', strategy: 'csi-clone'},
	{provisioners: ['vpc.block.csi.ibm.io'], sets: 'Ob Of', strategy: 'copy'},
	{
		provisioners: ['vpc.file.csi.ibm.io'],
		sets: 'Xf Of',
		...snapshots,
		variants: [
			{when: all(is('vmState', 'true'), is('profile', 'dp2')), sets: 'Of', minimumSize: '10Gi'},
			{when: all(is('vmState', 'true'), is('profile', 'rfs')), sets: 'Of', minimumSize: '1Gi'},
			{when: is('vmState', 'true'), sets: 'Of'},
			{when: is('profile', 'dp2'), minimumSize: '10Gi'},
			{when: is('profile', 'rfs'), minimumSize: '1Gi'},
		],
	},
	{
		provisioners: ['kubernetes.io/portworx-volume'],
		sets: 'Xb Xf Ob Of',
		variants: [{when: is('sharedv4', 'true'), sets: 'Xf Of'}],
	},
	{
		provisioners: ['pxd.portworx.com'],
		sets: 'Xb Xf Ob Of',
		strategy: 'csi-clone',
		variants: [
			{when: is('sharedv4', 'true'), sets: 'Xf Of'},
			{when: is('backend', 'pure_fa_file'), sets: 'Xf Of'},
			{when: is('backend', 'pure_block'), sets: 'Xb Ob Of'},
		],
	},
	{
		provisioners: ['csi.trident.netapp.io'],
		sets: '',
		...snapshots,
		variantsOnly: true,
		variants: [
			{when: (parameters) => text(parameters, 'backendType').startsWith('ontap-nas'), sets: 'Xf Of'},
			{when: (parameters) => text(parameters, 'backendType').startsWith('ontap-san'), sets: 'Xb'},
			{
				when: all(is('backendType', 'google-cloud-netapp-volumes'), is('selector', 'performance=flex')),
				sets: 'Xf Of',
				minimumSize: '1Gi',
			},
		],
	},
	{provisioners: ['topolvm.cybozu.com', 'topolvm.io'], sets: 'Ob Of', strategy: 'copy'},
	{provisioners: ['cinder.csi.openstack.org', 'csi.ovirt.org'], sets: 'Ob Of'},
	{provisioners: ['manila.csi.openstack.org'], sets: 'Xf'},
	{
		provisioners: ['infinibox-csi-driver'],
		sets: 'Xb Ob Of',
		strategy: 'csi-clone',
		variantsOnly: true,
		variants: [
			{when: is('storage_protocol', 'iscsi', 'fc', 'nvme')},
			{when: is('storage_protocol', 'nfs', 'nfs_treeq'), sets: 'Xf Of'},
		],
	},
	{
		provisioners: ['csi.vsphere.vmware.com'],
		sets: 'Ob Of',
		variants: [{when: (parameters) => fsType(parameters).includes('nfs'), sets: 'Xf Ob Of'}],
	},
	{
		provisioners: ['csi.huawei.com'],
		sets: 'Xb Ob Of',
		variants: [{when: is('protocol', 'nfs'), sets: 'Xf Of Rf'}],
	},
	{provisioners: ['kubesan.gitlab.io'], sets: 'Xb Rb Ob Of', strategy: 'csi-clone'},
	{
		provisioners: ['driver.longhorn.io'],
		sets: 'Ob',
		variants: [
			{when: is('migratable', 'true'), sets: 'Xb Ob'},
			{when: has('nfsOptions'), sets: 'Xf Of'},
			{when: (parameters) => fsType(parameters) !== '', sets: 'Of'},
		],
	},
	{provisioners: ['blockvolume.csi.oraclecloud.com'], sets: 'Xb Ob Of', strategy: 'csi-clone'},
	{
		provisioners: ['csi.san.synology.com'],
		sets: 'Xb Ob Of',
		strategy: 'csi-clone',
		minimumSize: '1Gi',
		variantsOnly: true,
		variants: [{when: is('protocol', '', 'iscsi')}, {when: is('protocol', 'nfs', 'smb'), sets: 'Xf Of'}],
	},
	{provisioners: ['directpv-min-io'], sets: 'Of'},
];

/** Volumes of such classes are made by hand: what they can do is told by those that are there. */
export const noProvisioner = 'kubernetes.io/no-provisioner';

/** Their classes make no disks, and nobody is to be alarmed that nothing is known of them. */
export const provisionersWithoutDisks: ReadonlySet<string> = new Set([
	'openshift-storage.noobaa.io/obc',
	'openshift-storage.ceph.rook.io/bucket',
	'rook-ceph.ceph.rook.io/bucket',
	'stork-snapshot',
	noProvisioner,
]);

const accessModes: Readonly<Record<string, AccessMode>> = {
	X: 'ReadWriteMany',
	O: 'ReadWriteOnce',
	R: 'ReadOnlyMany',
};
const volumeModes: Readonly<Record<string, VolumeMode>> = {b: 'Block', f: 'Filesystem'};

/** @throws where a row of the table is misspelt */
export function parseSets(sets: string): readonly ClaimPropertySet[] {
	const words = sets.split(' ').filter((word) => word !== '');
	return words.map(([access = '', volume = '', ...rest]) => {
		const [accessMode, volumeMode] = [accessModes[access], volumeModes[volume]];
		if (!accessMode || !volumeMode || rest.length > 0) throw new Error(`"${sets}" is no list of property sets`);
		return {accessModes: [accessMode], volumeMode};
	});
}

const rowByProvisioner = new Map(
	provisionerRows.flatMap((row) => row.provisioners.map((provisioner) => [provisioner, row] as const)),
);

/** What is known of classes of this provisioner with these parameters; in a word, why nothing. */
export function capabilitiesOf(
	provisioner: string,
	parameters: Parameters = {},
): Capabilities | 'unknown provisioner' | 'unknown parameters' {
	const row = rowByProvisioner.get(provisioner);
	if (!row) return 'unknown provisioner';
	const variant = row.variants?.find(({when}) => when(parameters));
	if (row.variantsOnly && !variant) return 'unknown parameters';
	const {sets, strategy, cronFormat, minimumSize} = {...row, ...variant};
	return {sets, strategy, cronFormat, minimumSize};
}
