/** The controller: reads its configuration, builds the parts, wires them and runs them while it leads. */
import {randomUUID} from 'node:crypto';
import {cachedKinds, failures} from '../datavolume/cached-kinds.ts';
import {makeCdiConfigController} from '../cdiconfig/controller.ts';
import {makeDataSourceController} from '../datasource/controller.ts';
import {makeDataVolumeController} from '../datavolume/controller.ts';
import {makeCloneRequests} from '../datavolume/requests.ts';
import {makeDiskSizes} from '../disksize/controller.ts';
import {Caches} from '../kube/caches.ts';
import {KubeClient} from '../kube/client.ts';
import {connect} from '../kube/connection.ts';
import {KubeEventRecorder} from '../kube/events.ts';
import {LeaderElector} from '../kube/leader-election.ts';
import * as resources from '../kube/resources.ts';
import {makePopulate} from '../populate/controller.ts';
import {ProgressBook} from '../populate/progress.ts';
import {systemClock} from '../process/clock.ts';
import {
	choice,
	ConfigError,
	describeOptions,
	integer,
	optionalSecret,
	optionalText,
	parseConfig,
	text,
} from '../process/config.ts';
import {startHealthServer} from '../process/health.ts';
import {makeLogger} from '../process/log.ts';
import {logLevels} from '../process/plain-log.ts';
import {collectProcessMetrics, registry} from '../process/metrics.ts';
import {listenForShutdown} from '../process/shutdown.ts';
import {makeSmartClone} from '../smartclone/controller.ts';
import {makeUnsupportedController} from '../unsupported/controller.ts';
import {makeStorageProfileController} from '../storageprofile/controller.ts';
import {parseProxyUrl} from '../api/import-proxy.ts';
import {fieldManager} from '../api/names.ts';

const options = {
	'worker-image': text({help: 'Image of the importer and copier Pods', env: 'ONESNAP_WORKER_IMAGE'}),
	'image-pull-secrets': optionalText({
		help: 'Names of Secrets that worker Pods pull their image with, separated by commas',
		env: 'ONESNAP_IMAGE_PULL_SECRETS',
	}),
	namespace: text({help: 'Namespace of the Lease', env: 'ONESNAP_NAMESPACE', default: 'onesnap'}),
	'pod-name': optionalText({
		help: 'Name of this process’s own Pod: lets unused golden images keep their snapshot for later clones',
		env: 'ONESNAP_POD_NAME',
	}),
	'snapshot-idle-seconds': integer({
		help: 'After this long without a clone, the snapshot of a claim that is not declared immutable is deleted',
		env: 'ONESNAP_SNAPSHOT_IDLE_SECONDS',
		default: 600,
		min: 0,
		max: 31_536_000,
	}),
	identity: text({help: 'Name of this replica', env: 'ONESNAP_IDENTITY', default: 'onesnap-controller'}),
	kubeconfig: optionalText({
		help: 'Path of a kubeconfig; the Pod’s own service account where absent',
		env: 'KUBECONFIG',
	}),
	port: integer({
		help: 'Port of /metrics, /healthz and /readyz',
		env: 'ONESNAP_PORT',
		default: 8080,
		min: 0,
		max: 65_535,
	}),
	'log-level': choice({
		help: 'Least severe level that is logged',
		env: 'ONESNAP_LOG_LEVEL',
		choices: logLevels,
		default: 'info',
	}),
	'cut-deadline-seconds': integer({
		help: 'A snapshot that is not ready by then is given up, where driver and storage class say nothing else',
		env: 'ONESNAP_CUT_DEADLINE_SECONDS',
		default: 3600,
		min: 1,
		max: 604_800,
	}),
	'restore-deadline-seconds': integer({
		help: 'A restore that is not complete by then is given up, where driver and storage class say nothing else',
		env: 'ONESNAP_RESTORE_DEADLINE_SECONDS',
		default: 3600,
		min: 1,
		max: 604_800,
	}),
	'import-http-proxy': optionalSecret(
		{help: 'URL of the proxy for imports of http URLs', env: 'ONESNAP_IMPORT_HTTP_PROXY'},
		parseProxyUrl,
	),
	'import-https-proxy': optionalSecret(
		{help: 'URL of the proxy for imports of https URLs', env: 'ONESNAP_IMPORT_HTTPS_PROXY'},
		parseProxyUrl,
	),
	'import-no-proxy': optionalText({
		help: 'Hosts, domains and networks that imports ask directly, separated by commas',
		env: 'ONESNAP_IMPORT_NO_PROXY',
	}),
	'import-proxy-ca-configmap': optionalText({
		help: 'ConfigMap in the namespace of --namespace with PEM certificates of the proxies’ authorities',
		env: 'ONESNAP_IMPORT_PROXY_CA_CONFIGMAP',
	}),
};

function readOptions() {
	if (process.argv.includes('--help')) {
		console.log(describeOptions(options));
		process.exit(0);
	}
	try {
		return parseConfig(options, {args: process.argv.slice(2), env: process.env});
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		for (const mistake of error.mistakes) console.error(mistake);
		process.exit(2);
	}
}

/** Read by other controllers. Optional: our own kinds that an older release's manifests lack. */
const otherKinds = [resources.dataImportCrons].map((resource) => ({resource, optional: true}));

const config = readOptions();
const log = makeLogger({level: config['log-level'], fields: {program: 'onesnap-controller'}});
using shutdown = listenForShutdown({log, deadlineMs: 15_000});
collectProcessMetrics();

const identity = `${config.identity}_${randomUUID()}`;
const connection = connect(config.kubeconfig);
const client = {connection, fieldManager, userAgent: 'onesnap-controller'};
const api = new KubeClient(client);
/** The Lease does not wait in line behind a burst of clones: on a busy machine that cost the leadership, and 17 s. */
const leaseApi = new KubeClient({...client, maxConnections: 2});
const proxyCertificates = config['import-proxy-ca-configmap'];
/** Where the authorities of proxies are: which ConfigMap, CDIConfig may say at any time. */
const configMaps = {resource: resources.configMaps, namespace: config.namespace};
const caches = new Caches({api, kinds: [...cachedKinds, failures, ...otherKinds, configMaps], log});
const events = new KubeEventRecorder({api, component: 'onesnap-controller', instance: config.identity, log});

const requests = makeCloneRequests(api, caches);
const podName = config['pod-name'];
const smartClone = makeSmartClone({
	...{api, caches, events, log, requests, clock: systemClock},
	ownPod: podName ? {namespace: config.namespace, name: podName} : undefined,
	run: randomUUID(),
	idleLimitMs: config['snapshot-idle-seconds'] * 1000,
});
const [httpProxy, httpsProxy, noProxy] = [
	config['import-http-proxy'],
	config['import-https-proxy'],
	config['import-no-proxy'],
];
const importProxy = {
	...(httpProxy !== undefined && {http: httpProxy}),
	...(httpsProxy !== undefined && {https: httpsProxy}),
	...(noProxy !== undefined && {noProxy}),
	certificates: proxyCertificates === undefined ? undefined : {namespace: config.namespace, name: proxyCertificates},
};
const populate = makePopulate({
	api,
	caches,
	events,
	log,
	clock: systemClock,
	settings: {
		image: config['worker-image'],
		namespace: config.namespace,
		imagePullSecrets: (config['image-pull-secrets'] ?? '').split(',').filter((name) => name !== ''),
		importProxy,
	},
	onRefused: (key) => dataVolumes.enqueue(key),
});
const progress = new ProgressBook({caches, clock: systemClock, onChange: (key) => dataVolumes.enqueue(key)});
const sizes = makeDiskSizes({api, caches, clock: systemClock, log, settings: populate.settings});
const dataVolumes = makeDataVolumeController({
	api,
	caches,
	events,
	log,
	clock: systemClock,
	waiting: smartClone.waiting,
	lost: smartClone.lost,
	deadlines: {cutMs: config['cut-deadline-seconds'] * 1000, restoreMs: config['restore-deadline-seconds'] * 1000},
	sizes: sizes.requests,
	wakeSharing: smartClone.wake,
	populationOf: populate.populationOf,
	percentOf: (uid) => progress.of(uid),
});

const elector = new LeaderElector({
	api: leaseApi,
	lease: {namespace: config.namespace, name: 'onesnap-controller'},
	identity,
	log,
});
await using _health = await startHealthServer({
	port: config.port,
	registry,
	ready: {caches: () => (caches.hasSynced ? undefined : 'the first lists are not complete yet')},
});

const controllers = [
	makeCdiConfigController({api, caches, log, clock: systemClock}),
	makeStorageProfileController({api, caches, log, clock: systemClock}),
	makeDataSourceController({api, caches, clock: systemClock, log}),
	dataVolumes,
	populate.controller,
	sizes.controller,
	smartClone.controller,
	smartClone.orphans,
	makeUnsupportedController({api, caches, clock: systemClock, log}),
];
const watching = Promise.all([caches.start(shutdown.signal), smartClone.watchWriters(shutdown.signal)]);
const end = await elector.run(shutdown.signal, async (leadership) => {
	await Promise.all([...controllers, progress].map((part) => part.run(leadership)));
});
// A replica that lost its Lease begins anew as a candidate: nothing it remembers counts any more.
if (end === 'lost') {
	shutdown.begin('leadership lost');
	process.exitCode = 1;
}
await watching;
for (const controller of controllers) controller.close();
await events.close();
api.close();
leaseApi.close();
