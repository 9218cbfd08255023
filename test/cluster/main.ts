import {ensureBinary, programNames} from './binaries.ts';
import {ensureLocalCluster} from './cluster.ts';
import {ensureDefinitions} from './definitions.ts';
import {auditHost, describeHostUse} from './host-audit.ts';
import {thisLayout} from './layout.ts';
import {ensureStaticImage, staticImages} from './static-images.ts';
import {report} from './progress.ts';
import {countNodes, stopCluster} from './start.ts';

const usage = `usage: node test/cluster/main.ts up|down|status|binaries
  up        start this checkout's local cluster, or find it running; NODES=2 in the environment: with two nodes
  down      stop it and remove everything of it from this machine
  status    list what this machine holds for it
  binaries  find or build all programs, without starting anything`;

async function up(): Promise<void> {
	const cluster = await ensureLocalCluster();
	report(`\nthe cluster has ${countNodes(cluster.nodes.length)}: ${cluster.nodes.join(', ')}`);
	report(`logs are in ${cluster.runDir}/logs; stop the cluster with: make cluster-down\n`);
	// Alone on standard output: eval "$(make -s cluster)" works.
	console.log(`export KUBECONFIG=${cluster.kubeconfig}`);
	report(`kubectl is ${cluster.kubectl}`);
}

async function down(): Promise<void> {
	await stopCluster(thisLayout());
	report('the cluster is down, nothing of it is left on this machine');
}

async function status(): Promise<void> {
	const lines = describeHostUse(await auditHost(thisLayout()));
	console.log(lines.length > 0 ? lines.join('\n') : 'nothing');
}

async function binaries(): Promise<void> {
	for (const name of programNames) console.log(await ensureBinary(name));
	await ensureDefinitions();
	for (const image of staticImages) console.log(await ensureStaticImage(image));
}

const commands: Readonly<Record<string, () => Promise<void>>> = {up, down, status, binaries};

const command = commands[process.argv[2] ?? ''];
if (command) {
	try {
		await command();
	} catch (error) {
		report(error instanceof Error ? error.message : String(error));
		process.exitCode = 1;
	}
} else {
	report(usage);
	process.exitCode = 2;
}
