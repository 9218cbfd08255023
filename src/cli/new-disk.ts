/** `kubectl create dv`: what the flags say, as a DataVolume, or every mistake in them. Pure. */
import type {DataVolume, DataVolumeSource, DataVolumeSpec, HttpSource, ObjectSource} from '../api/datavolume.ts';
import type {AccessMode, VolumeMode} from '../api/kubernetes.ts';
import {annotations, cdiVersion} from '../api/names.ts';
import {checksumViolation} from '../api/source.ts';
import {
	choice,
	Mistake,
	type Flag,
	type FlagValues,
	pairs,
	quantity,
	text,
	texts,
	toggle,
	UsageError,
} from './flags.ts';

const shortModes: Readonly<Record<string, AccessMode>> = {
	RWO: 'ReadWriteOnce',
	ROX: 'ReadOnlyMany',
	RWX: 'ReadWriteMany',
	RWOP: 'ReadWriteOncePod',
};
const accessModes = Object.values(shortModes);

const accessModeFlag: Flag<readonly AccessMode[]> = {
	help: `How it may be mounted: ${Object.keys(shortModes).join(', ')} or the long names; may be repeated. Default: what the storage class is known for`,
	value: 'MODE',
	completes: accessModes,
	read: (all) =>
		all
			.flatMap((given) => given.split(','))
			.map((given) => {
				const found = shortModes[given.toUpperCase()] ?? accessModes.find((mode) => mode === given);
				if (!found) throw new Mistake(`is one of ${accessModes.join(', ')}, not "${given}"`);
				return found;
			}),
};

export const newDiskFlags = {
	http: text({help: 'Import the disk image behind this http or https URL', value: 'URL'}),
	pvc: text({help: 'Clone this claim', value: '[NAMESPACE/]NAME', completes: 'claims'}),
	snapshot: text({help: 'Restore this VolumeSnapshot', value: '[NAMESPACE/]NAME', completes: 'snapshots'}),
	from: text({help: 'Take what this DataSource names', value: '[NAMESPACE/]DATASOURCE', completes: 'dataSources'}),
	blank: toggle({help: 'An empty disk'}),
	size: quantity({help: 'Size of the disk, for example 10Gi. A clone takes that of its source by default'}),
	class: text({
		help: "Storage class; default: the cluster's for virtual machines, else its default",
		value: 'NAME',
		completes: 'storageClasses',
	}),
	'access-mode': accessModeFlag,
	'volume-mode': choice({help: 'Whether it is a device or a file on a file system'}, [
		'Block',
		'Filesystem',
	] satisfies VolumeMode[]),
	checksum: text({
		help: 'Of --http: what the bytes must have, as ALGORITHM:HEX with md5, sha1, sha256 or sha512',
		value: 'ALGORITHM:HEX',
	}),
	secret: text({help: 'Of --http: Secret with accessKeyId and secretKey, sent as user and password', value: 'NAME'}),
	'cert-configmap': text({help: 'Of --http: ConfigMap with PEM certificates of authorities to trust', value: 'NAME'}),
	header: texts({help: 'Of --http: header line to send; may be repeated', value: '"NAME: VALUE"'}),
	'content-type': choice({help: 'Of --http: a disk image, or a tar archive whose files fill the claim'}, [
		'kubevirt',
		'archive',
	]),
	preallocation: toggle({help: 'Allocate every block now'}),
	'priority-class': text({help: 'Priority class of the Pods that fill the disk', value: 'NAME'}),
	immediate: toggle({help: 'Do not wait for a first consumer, where the storage class would'}),
	label: pairs({help: 'Label of the DataVolume and its claim; may be repeated', short: 'l'}),
	annotation: pairs({help: 'Annotation of the DataVolume and its claim; may be repeated'}),
};

export type NewDiskValues = FlagValues<typeof newDiskFlags>;

const sourceFlags = ['http', 'pvc', 'snapshot', 'from', 'blank'] as const;
const httpOnly = ['checksum', 'secret', 'cert-configmap', 'header', 'content-type'] as const;

const isName = (name: string) => name.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name);
const nameRule = 'is lower-case letters, digits, - and ., and begins and ends with a letter or digit';

/** `NAMESPACE/NAME`, or `NAME` in the DataVolume's own namespace. */
function reference(flag: string, given: string, namespace: string, mistakes: string[]): ObjectSource {
	const parts = given.split('/');
	const [first = '', second] = parts;
	if (parts.length > 2 || parts.some((part) => !isName(part))) {
		mistakes.push(`--${flag} is NAMESPACE/NAME or NAME, not "${given}"`);
	}
	return second === undefined ? {namespace, name: first} : {namespace: first, name: second};
}

function httpSource(url: string, values: NewDiskValues): HttpSource {
	const {secret, 'cert-configmap': certConfigMap, header, checksum} = values;
	return {
		url,
		...(secret !== undefined && {secretRef: secret}),
		...(certConfigMap !== undefined && {certConfigMap}),
		...(header.length > 0 && {extraHeaders: header}),
		...(checksum !== undefined && {checksum}),
	};
}

type Content = Pick<DataVolumeSpec, 'source' | 'sourceRef'>;

function contentOf(values: NewDiskValues, namespace: string, mistakes: string[]): Content {
	const given = sourceFlags.filter((flag) => values[flag] !== undefined && values[flag] !== false);
	const [first, ...others] = given;
	const {http, pvc, snapshot, from} = values;
	if (!first) {
		mistakes.push(
			'what the disk is to hold is missing: --http URL, --pvc NAMESPACE/NAME, --snapshot NAMESPACE/NAME, --from DATASOURCE or --blank',
		);
	}
	if (others.length > 0) {
		mistakes.push(`${given.map((flag) => `--${flag}`).join(' and ')} each say what the disk holds: keep one`);
	}
	if (http === undefined) {
		for (const flag of httpOnly) {
			const isGiven = flag === 'header' ? values.header.length > 0 : values[flag] !== undefined;
			if (isGiven) mistakes.push(`--${flag} is of use with --http only: leave it out`);
		}
	}
	const source = (one: DataVolumeSource): Content => ({source: one});
	if (http !== undefined) return source({http: httpSource(http, values)});
	if (pvc !== undefined) return source({pvc: reference('pvc', pvc, namespace, mistakes)});
	if (snapshot !== undefined) return source({snapshot: reference('snapshot', snapshot, namespace, mistakes)});
	if (from === undefined) return source({blank: {}});
	const {namespace: of, name} = reference('from', from, namespace, mistakes);
	return {sourceRef: {kind: 'DataSource', name, ...(from.includes('/') && {namespace: of})}};
}

function importMistakes({http, checksum}: NewDiskValues): string[] {
	if (http === undefined) return [];
	const isUrl = URL.canParse(http) && /^https?:$/.test(new URL(http).protocol);
	const violation = checksum === undefined ? undefined : checksumViolation(checksum);
	return [
		...(isUrl ? [] : [`--http is an http or https URL, not "${http}"`]),
		...(violation === undefined ? [] : [`--checksum: ${violation}`]),
	];
}

/** Throws UsageError. */
export function makeNewDisk(name: string | undefined, namespace: string, values: NewDiskValues): DataVolume {
	const mistakes: string[] = [];
	if (name === undefined) mistakes.push('the name of the DataVolume is missing: kubectl create dv NAME …');
	else if (!isName(name)) mistakes.push(`the name ${nameRule}, not "${name}"`);
	if (!isName(namespace)) mistakes.push(`--namespace ${nameRule}, not "${namespace}"`);
	const content = contentOf(values, namespace, mistakes);
	const {size, class: storageClassName, 'volume-mode': volumeMode, 'content-type': contentType} = values;
	const isClone = values.pvc !== undefined || values.snapshot !== undefined || values.from !== undefined;
	if (size === undefined && !isClone && (values.http !== undefined || values.blank)) {
		mistakes.push('--size is missing: how large the disk is to be, for example --size 10Gi');
	}
	if (contentType === 'archive' && volumeMode === 'Block') {
		mistakes.push('--content-type archive needs a file system: leave out --volume-mode Block');
	}
	const notes = {...(values.immediate && {[annotations.bindImmediate]: 'true'}), ...values.annotation};
	const dataVolume: DataVolume = {
		apiVersion: cdiVersion,
		kind: 'DataVolume',
		metadata: {
			name: name ?? '',
			namespace,
			...(Object.keys(values.label).length > 0 && {labels: values.label}),
			...(Object.keys(notes).length > 0 && {annotations: notes}),
		},
		spec: {
			...content,
			...(contentType && {contentType}),
			...(values.preallocation && {preallocation: true}),
			...(values['priority-class'] !== undefined && {priorityClassName: values['priority-class']}),
			storage: {
				...(values['access-mode'].length > 0 && {accessModes: values['access-mode']}),
				...(volumeMode && {volumeMode}),
				...(storageClassName !== undefined && {storageClassName}),
				...(size !== undefined && {resources: {requests: {storage: size}}}),
			},
		},
	};
	mistakes.push(...importMistakes(values));
	if (mistakes.length > 0) throw new UsageError(mistakes);
	return dataVolume;
}
