import {makeLogger} from '../../../src/process/log.ts';
import {startDriver} from './driver.ts';
import {parseOptions} from './options.ts';

const options = parseOptions(process.argv.slice(2));
const logger = makeLogger({level: 'info', fields: {driver: options.name}});
const driver = await startDriver(options, logger);
logger.info({endpoint: options.csiSocket, pool: options.pool, snapshots: options.snapshots}, 'serving');

async function shutDown(signal: NodeJS.Signals): Promise<void> {
	logger.info({signal}, 'stopping');
	await driver.stop();
	process.exit(0);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
	process.once(signal, () => {
		shutDown(signal).catch((error: unknown) => {
			logger.error({error}, 'did not stop cleanly');
			process.exit(1);
		});
	});
}
