/** The CDI object: which one counts, what is said of it, and the one that is made where there is none. Pure. */
import {isDeepStrictEqual} from 'node:util';
import type {Cdi, CdiStatus} from '../api/cdi-config.ts';
import {type ConditionNews, findCondition, upsertCondition} from '../api/conditions.ts';
import {cdiVersion, labels, managedByValue} from '../api/names.ts';
import {version} from '../api/version.ts';

/** Workers are placed as by the one in CDI's own release. */
export const defaultCdi: Cdi = {
	apiVersion: cdiVersion,
	kind: 'CDI',
	metadata: {name: 'cdi', labels: {[labels.managedBy]: managedByValue}},
	spec: {workload: {nodeSelector: {'kubernetes.io/os': 'linux'}}},
};

/** Made by us, and nobody has said anything in it: it gives way to any other. */
export function isOnlyDefault({metadata, spec}: Cdi): boolean {
	return metadata.labels?.[labels.managedBy] === managedByValue && isDeepStrictEqual(spec, defaultCdi.spec);
}

/** The oldest that somebody has written; one that is being deleted only where there is no other. */
export function activeCdi(cdis: readonly Cdi[]): Cdi | undefined {
	const rank = (cdi: Cdi) => (cdi.metadata.deletionTimestamp ? 2 : 0) + (isOnlyDefault(cdi) ? 1 : 0);
	return cdis.toSorted(
		(a, b) =>
			rank(a) - rank(b) ||
			(a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '') ||
			a.metadata.name.localeCompare(b.metadata.name),
	)[0];
}

const inWords = `v${version}`;

/** What OpenShift's operators and installers wait for. There is nothing to be deployed: who writes this runs. */
const deployed: readonly ConditionNews[] = [
	{type: 'Available', status: 'True', reason: 'DeployCompleted', message: 'Deployment Completed'},
	{type: 'Progressing', status: 'False'},
	{type: 'Degraded', status: 'False'},
];

function inVain(active: string): readonly ConditionNews[] {
	const message = `CDI ${active} counts, and KubeVirt goes by its own guesses while there are several: delete all but one`;
	return [
		{type: 'Available', status: 'False', reason: 'SeveralCDIs', message},
		{type: 'Progressing', status: 'False'},
		{type: 'Degraded', status: 'True', reason: 'SeveralCDIs', message},
	];
}

/**
 * @param active name of the one that counts
 * @param now RFC 3339
 */
export function cdiStatus({metadata, status = {}}: Cdi, active: string, now: string): CdiStatus {
	const counts = metadata.name === active;
	const news = counts ? deployed : inVain(active);
	return {
		...status,
		phase: counts ? 'Deployed' : 'Error',
		conditions: news.reduce((conditions, each) => upsertCondition(conditions, each, now), status.conditions ?? []),
		operatorVersion: inWords,
		targetVersion: inWords,
		observedVersion: inWords,
	};
}

export function isReady(cdi: Cdi | undefined): boolean {
	const is = (type: string, wanted: string) => findCondition(cdi?.status?.conditions, type)?.status === wanted;
	return is('Available', 'True') && is('Progressing', 'False') && is('Degraded', 'False');
}
