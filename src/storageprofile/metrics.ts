/** What alerts look at, under CDI's name. Of the leader only: alerts add the classes up. */
import {Gauge} from 'prom-client';
import type {StorageClass} from '../api/kubernetes.ts';
import {annotations} from '../api/names.ts';
import {registry} from '../process/metrics.ts';
import {provisionersWithoutDisks} from './known-provisioners.ts';
import type {ResolvedProfile} from './resolve.ts';

const storageProfileInfo = new Gauge({
	name: 'kubevirt_cdi_storageprofile_info',
	help: 'Storage profiles, one each: whether claims can be rendered from it, and what disks of the class can do',
	labelNames: ['storageclass', 'provisioner', 'complete', 'default', 'virtdefault', 'rwx', 'smartclone', 'degraded'],
	registers: [registry],
});

export type ProfileInfo = Readonly<
	Record<
		'storageclass' | 'provisioner' | 'complete' | 'default' | 'virtdefault' | 'rwx' | 'smartclone' | 'degraded',
		string
	>
>;

export function profileInfo({metadata, provisioner}: StorageClass, resolved: ResolvedProfile): ProfileInfo {
	const marked = (annotation: string) => String(metadata.annotations?.[annotation] === 'true');
	const rwx = resolved.claimPropertySets.some(({accessModes}) => accessModes.includes('ReadWriteMany'));
	const smartclone = resolved.cloneStrategy !== 'copy';
	return {
		storageclass: metadata.name,
		provisioner,
		complete: String(resolved.claimPropertySets.length > 0 || provisionersWithoutDisks.has(provisioner)),
		default: marked(annotations.defaultStorageClass),
		virtdefault: marked(annotations.defaultVirtStorageClass),
		rwx: String(rwx),
		smartclone: String(smartclone),
		degraded: String(!rwx || !smartclone),
	};
}

/** Keeps one series for each class. */
export class ProfileInfos {
	readonly #shown = new Map<string, ProfileInfo>();

	show(name: string, info: ProfileInfo | undefined): void {
		const before = this.#shown.get(name);
		if (before) storageProfileInfo.remove(before);
		this.#shown.delete(name);
		if (!info) return;
		storageProfileInfo.set(info, 1);
		this.#shown.set(name, info);
	}
}
