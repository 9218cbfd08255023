/** What a person can do about each reason for which a disk waits or is refused. Pure; the compiler asks for a new one. */
import type {RefusalReason, WaitReason} from '../../datavolume/decide.ts';
import type {WaitReason as PopulateWaitReason} from '../../populate/decide.ts';
import type {WorkerFailure} from '../../api/worker-contract.ts';

/** What the API server said to a claim, and what only the controller knows. */
type OutcomeReason = 'ErrExceededQuota' | 'RestoreWindowFull' | 'ClaimLost';

/** What is nobody's reason but what one look shows. */
type LookReason = 'NotSeen' | 'Deleting';

/** Of a clone without a size. */
type SizeReason = 'SizeDetectionPodNotReady';

/** Of a worker Pod, as the kubelet and the scheduler word them. */
type PodReason = 'Unschedulable' | 'ImagePullFailed';

export type AdviceReason =
	| RefusalReason
	| WaitReason
	| PopulateWaitReason
	| WorkerFailure
	| OutcomeReason
	| LookReason
	| SizeReason
	| PodReason;

const again = 'Delete the DataVolume and create it again when that is mended';
const byItself = 'Nothing: it goes on by itself';

const advice: Readonly<Record<AdviceReason, string>> = {
	NotSupported: 'Use another source: http, blank, pvc or snapshot',
	Invalid: 'Delete the DataVolume and create it as the message says',
	ErrClaimNotValid: 'Mend what the message names; a storage class that appears is found within ten seconds',
	ErrResourceExists: 'Delete that claim if nobody needs it, or give the DataVolume another name',
	CloneNotAuthorized:
		'As the message says: install what asks (manifests/base/clone-authorization.yaml), then create the DataVolume again so that it is asked',
	CloneWithoutSource:
		'Create the source, or correct spec.source in a new DataVolume; the clone goes on when the source is there',
	SizeDetectionPodNotReady:
		"Nothing, unless the message says what is in the Pod's way; or create the DataVolume again with a size",
	CloneSourceNotReady: `${byItself} when the source is complete`,
	CloneValidationFailed: 'Create the DataVolume again with at least the size of the source, or without a size',
	CloneSourceInUse: 'Stop the Pod or virtual machine that uses the source; the clone goes on by itself',
	SnapshotNotReady:
		'Wait for the storage: kubectl describe shs shows what it says. At its deadline the clone goes another way',
	ClaimTerminating: 'Wait until it is gone: a Pod that uses it holds it',
	ClaimMarkedForDeletion: 'Stop what uses the claim, if it is to go; after that its DataVolume makes the disk anew',
	PrePopulated: 'Whoever wrote the annotation prePopulated makes the claim; without one, remove the annotation',
	FirstConsumer: 'Start a Pod or virtual machine that uses the disk; it is made on the node of that',
	Restoring: 'Wait for the storage; the events of the claim show what it says',
	StorageBusy: 'Wait: fewer restores are begun at once until the storage keeps up',
	ProvisioningFailed:
		'Mend what the storage says. A quota is yours to raise; of other refusals the clone goes another way where one is left',
	Growing: 'Wait for the storage to grow the volume',
	Population: byItself,
	Binding: 'Wait for the volume; the events of the claim show what the storage says',
	NoNode: 'Uncordon a node that has the storage driver, or wait for one',
	StorageClassMissing: 'Create the storage class, or name another one in a new DataVolume',
	StorageClassNotCsi: 'Let a DataVolume make the claim, or name the storage class of a CSI driver',
	SourceObjectMissing: 'Create the object that the dataSourceRef of the claim names',
	ProxyCertificatesMissing:
		"Let an administrator create the ConfigMap with the proxy's certificates; it is looked for every ten seconds",
	ImportProxyNotValid: 'Let an administrator correct spec.importProxy of CDIConfig; it is looked at every ten seconds',
	ErrCreatingPVCPrime: 'Mend what the API server says; it is tried again every ten seconds',
	ErrStartingPod:
		'Let the policies of the namespace admit the Pod that the message names; it is tried again every ten seconds',
	PrimeBinding: 'Wait for the storage to make the volume that is filled; the events of that claim show what it says',
	TargetBinding: 'Wait for the storage to make the volume; the events of the claim show what it says',
	WorkerStarting: 'Wait for its Pod; kubectl describe pod shows what holds it up',
	WorkerRunning: byItself,
	WorkerLeaving: byItself,
	WorkerFailed: `${byItself}: the Pod is made anew`,
	SourceNotFound: `Check the URL. ${again}`,
	SourceForbidden: `Check --secret and headers, and that a signed URL has not expired. ${again}`,
	SourceRefused: `The URL must lead to the image itself. ${again}`,
	SourceUnavailable: 'Wait, or look at the server: it is tried again',
	SourceUnreachable: 'Check the name, and the network policies of the namespace: it is tried again',
	SourceUntrusted: `Give the authority that signed the certificate in certConfigMap (--cert-configmap). ${again}`,
	SourceChanged: 'Nothing: the next try reads the new file. Publish images under new names',
	ChecksumMismatch: `Correct the checksum, or the file behind the URL. ${again}`,
	InvalidImage: `Check what the URL serves: it is no disk image, or a damaged one. ${again}`,
	ImageNotStandalone: `Make it one file: qemu-img convert -O qcow2. ${again}`,
	ImageEncrypted: `Decrypt the image. ${again}`,
	ImageTooLarge: 'Create the DataVolume again with at least the size that the message names',
	SourceVolumeInvalid: 'Clone to volumeMode Filesystem: the source holds no disk.img',
	FormatNotSupported: `Convert the image to qcow2 or raw. ${again}`,
	TargetWriteFailed: 'Look at the storage and at the kernel log of the node: it is tried again',
	Interrupted: `${byItself}: it is tried again`,
	Internal: 'It is tried again. If that fails too, report it with the log of the Pod',
	ErrExceededQuota: 'Raise the ResourceQuota of the namespace, or delete disks in it; it is tried again by itself',
	RestoreWindowFull: 'Nothing: as many clones as the storage takes at once are being restored, and its turn comes',
	ClaimLost: 'The disk is lost: delete the DataVolume',
	NotSeen: 'Is the controller running? kubectl -n onesnap get pods',
	Deleting: 'Wait until what uses the disk is gone',
	Unschedulable: 'Make room for the Pod, or look at its storage class: the message is the scheduler’s',
	ImagePullFailed: 'Let an administrator check ONESNAP_WORKER_IMAGE and the pull secrets in this namespace',
};

export function adviceOn(reason: string): string | undefined {
	return Object.entries(advice).find(([known]) => known === reason)?.[1];
}
