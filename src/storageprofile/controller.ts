/** Keeps a StorageProfile for every StorageClass. Key: the name of both. */
import {annotations} from '../api/names.ts';
import {annotateExactly} from '../kube/annotate.ts';
import type {Caches} from '../kube/caches.ts';
import type {KubeApi} from '../kube/client.ts';
import {Controller, type ReconcileResult, watch} from '../kube/controller.ts';
import {createOnce} from '../kube/create-once.ts';
import {deleteExactly} from '../kube/delete-exactly.ts';
import {keyOf} from '../kube/object-key.ts';
import * as resources from '../kube/resources.ts';
import {writeStatus} from '../kube/write-status.ts';
import type {Clock} from '../process/clock.ts';
import type {Logger} from '../process/log.ts';
import {decide, type ProfilePlan} from './decide.ts';
import {noProvisioner} from './known-provisioners.ts';
import {profileInfo, ProfileInfos} from './metrics.ts';
import {type Observed, observe, volumesByClass} from './observe.ts';
import {profileStatus} from './resolve.ts';

/** The definitions of an older release do not have this kind. */
const notServedMs = 60_000;

export interface StorageProfileOptions {
	readonly api: KubeApi;
	readonly caches: Caches;
	readonly log: Logger;
	readonly clock: Clock;
}

async function execute(api: KubeApi, plan: ProfilePlan, signal: AbortSignal): Promise<void> {
	switch (plan.do) {
		case 'nothing':
			return;
		case 'create':
			await createOnce(api, resources.storageProfiles, plan.profile, signal);
			return;
		case 'recordMinimumSize': {
			const size = {[annotations.minimumSupportedPvcSize]: plan.size};
			await annotateExactly(api, resources.storageProfiles, plan.profile, {annotations: size}, signal);
			return;
		}
		case 'delete':
			await deleteExactly(api, resources.storageProfiles, plan.profile, signal);
			return;
		default:
			plan satisfies never;
	}
}

/** Its status is a plain report; nothing that is decided reads it. */
async function report(api: KubeApi, observed: Observed, plan: ProfilePlan, signal: AbortSignal): Promise<void> {
	const {storageClass, profile, resolved, now} = observed;
	if (!storageClass || !profile || !resolved || plan.do === 'delete' || profile.metadata.deletionTimestamp) return;
	const status = profileStatus({storageClass, profile}, resolved, now);
	await writeStatus(api, resources.storageProfiles, profile, status, signal);
}

export function makeStorageProfileController({api, caches, log, clock}: StorageProfileOptions): Controller {
	caches.addIndex(resources.persistentVolumes, volumesByClass);
	const classes = caches.store(resources.storageClasses);
	const infos = new ProfileInfos();

	async function reconcile(name: string, round: {signal: AbortSignal; log: Logger}): Promise<ReconcileResult> {
		if (!caches.isServed(resources.storageProfiles)) return {recheckAfterMs: notServedMs};
		const observed = observe(name, caches, clock.now());
		const {storageClass, resolved} = observed;
		infos.show(name, storageClass && resolved && profileInfo(storageClass, resolved));
		const plan = decide(observed);
		if (plan.do !== 'nothing') round.log.info({plan: plan.do}, 'storage profile step');
		await execute(api, plan, round.signal);
		await report(api, observed, plan, round.signal);
		return 'done';
	}

	return new Controller({
		name: 'storageprofile',
		caches,
		log,
		clock,
		reconcile,
		watches: [
			watch(resources.storageClasses, (storageClass) => [keyOf(storageClass)]),
			watch(resources.storageProfiles, (profile) => [keyOf(profile)]),
			watch(resources.volumeSnapshotClasses, ({driver}) =>
				classes
					.list()
					.filter(({provisioner}) => provisioner === driver)
					.map(keyOf),
			),
			watch(resources.persistentVolumes, ({spec: {storageClassName}}) => {
				const storageClass = classes.get(undefined, storageClassName ?? '');
				return storageClass?.provisioner === noProvisioner ? [keyOf(storageClass)] : [];
			}),
		],
	});
}
