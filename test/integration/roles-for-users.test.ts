/** Who may do what to CDI's kinds, asked of the API server's authorizer: the roles of manifests/base as CDI's table has them. */
import {randomBytes} from 'node:crypto';
import {beforeAll, describe, expect, inject, test} from 'vitest';
import type {KubeObject} from '../../src/api/kubernetes.ts';
import {KubeClient} from '../../src/kube/client.ts';
import {connect} from '../../src/kube/connection.ts';
import type {Resource} from '../../src/kube/resources.ts';
import {until} from '../cluster/until.ts';
import {installManifests} from './onesnap.ts';

const kubeconfig = inject('kubeconfig');
const admin = new KubeClient({connection: connect(kubeconfig), fieldManager: 'test'});

interface ClusterRole extends KubeObject {
	readonly aggregationRule?: {
		readonly clusterRoleSelectors: readonly {readonly matchLabels: Readonly<Record<string, string>>}[];
	};
}

const rbac = <T extends KubeObject>(plural: string, kind: string, namespaced: boolean): Resource<T> => ({
	group: 'rbac.authorization.k8s.io',
	version: 'v1',
	plural,
	kind,
	namespaced,
});
const clusterRoles = rbac<ClusterRole>('clusterroles', 'ClusterRole', false);
const clusterRoleBindings = rbac<KubeObject & {roleRef: object; subjects: object[]}>(
	'clusterrolebindings',
	'ClusterRoleBinding',
	false,
);

interface Review extends KubeObject {
	readonly spec: object;
	readonly status?: {readonly allowed: boolean};
}
const subjectAccessReviews: Resource<Review> = {
	group: 'authorization.k8s.io',
	version: 'v1',
	plural: 'subjectaccessreviews',
	kind: 'SubjectAccessReview',
	namespaced: false,
};

/** As the controller manager would fill them; there is none here. Names of the roles that hold the rules in the end. */
function aggregated(all: readonly ClusterRole[], name: string): string[] {
	const role = all.find(({metadata}) => metadata.name === name);
	if (!role?.aggregationRule) return [name];
	return role.aggregationRule.clusterRoleSelectors.flatMap(({matchLabels}) =>
		all
			.filter(({metadata}) => Object.entries(matchLabels).every(([label, value]) => metadata.labels?.[label] === value))
			.flatMap(({metadata}) => aggregated(all, metadata.name)),
	);
}

async function isAllowed(user: string, groups: readonly string[], asked: Asked, verb: string): Promise<boolean> {
	const [resource = '', subresource] = asked.resource.split('/');
	const review = await admin.create(subjectAccessReviews, {
		apiVersion: 'authorization.k8s.io/v1',
		kind: 'SubjectAccessReview',
		metadata: {name: ''},
		spec: {user, groups, resourceAttributes: {...asked, verb, resource, subresource}},
	});
	return review.status?.allowed ?? false;
}

interface Asked {
	readonly group: string;
	/** Plural, with the subresource behind a slash. */
	readonly resource: string;
}

const cdi = (resource: string): Asked => ({group: 'cdi.kubevirt.io', resource});
const all = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const look = ['get', 'list', 'watch'];

interface Row {
	readonly asked: Asked;
	readonly anyone: readonly string[];
	readonly view: readonly string[];
	readonly edit: readonly string[];
	readonly admin: readonly string[];
	readonly sourcer: readonly string[];
}

const content = {anyone: [], view: look, edit: all, admin: all, sourcer: []};
const settings = {anyone: look, view: look, edit: look, admin: look, sourcer: look};
const source = ['create'];
const nobody = {anyone: [], view: [], edit: [], admin: [], sourcer: []};
const table: readonly Row[] = [
	{asked: cdi('datavolumes'), ...content},
	{asked: cdi('datasources'), ...content},
	{asked: cdi('dataimportcrons'), ...content},
	{asked: cdi('volumeimportsources'), ...content},
	{asked: cdi('volumeuploadsources'), ...content},
	{asked: cdi('volumeclonesources'), ...content},
	{asked: cdi('datavolumes/source'), anyone: [], view: [], edit: source, admin: source, sourcer: source},
	{asked: cdi('datavolumes/status'), ...nobody},
	{asked: cdi('cdiconfigs'), ...settings},
	{asked: cdi('storageprofiles'), ...settings},
	{asked: cdi('objecttransfers'), anyone: [], view: look, edit: look, admin: look, sourcer: []},
	{asked: cdi('cdis'), ...nobody},
	{
		asked: {group: 'upload.cdi.kubevirt.io', resource: 'uploadtokenrequests'},
		...{anyone: [], view: [], edit: all, admin: all, sourcer: []},
	},
	{asked: {group: 'forklift.cdi.kubevirt.io', resource: 'ovirtvolumepopulators'}, ...content},
	{asked: {group: 'forklift.cdi.kubevirt.io', resource: 'openstackvolumepopulators'}, ...content},
	{asked: {group: 'onesnap.io', resource: 'sharedsnapshots'}, ...nobody},
];

const roles = {view: 'view', edit: 'edit', admin: 'admin', sourcer: 'cdi.kubevirt.io:clone-sourcer'} as const;
const run = randomBytes(4).toString('hex');
const userOf = (who: string) => `${who}-${run}`;

beforeAll(async () => {
	await installManifests(kubeconfig);
	const {items} = await admin.list(clusterRoles);
	for (const [who, role] of Object.entries(roles)) {
		for (const [index, name] of aggregated(items, role).entries()) {
			await admin.create(clusterRoleBindings, {
				apiVersion: 'rbac.authorization.k8s.io/v1',
				kind: 'ClusterRoleBinding',
				metadata: {name: `${userOf(who)}-${index}`},
				roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name},
				subjects: [{apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: userOf(who)}],
			});
		}
	}
	// The authorizer learns of roles and bindings by watches of its own; the last ones written are the last that it learns of.
	await until('the roles', async () => {
		const asked = cdi('datavolumes/source');
		const knows = await isAllowed(userOf('sourcer'), ['system:authenticated'], asked, 'create');
		return knows || undefined;
	});
	return () => admin.close();
});

describe.each(['anyone', 'view', 'edit', 'admin', 'sourcer'] as const)('%s', (who) => {
	test.each(table)('may do to $asked.resource what the table says', async (row) => {
		const allowed: string[] = [];
		for (const verb of all) {
			if (await isAllowed(userOf(who), ['system:authenticated'], row.asked, verb)) allowed.push(verb);
		}
		expect(allowed).toEqual(row[who]);
	});
});

test('who has not said who he is may do nothing', async () => {
	for (const {asked} of table) {
		expect(await isAllowed('system:anonymous', ['system:unauthenticated'], asked, 'get')).toBe(false);
	}
});
