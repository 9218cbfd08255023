import {z} from 'zod';
import type {CopyTask} from '../api/worker-contract.ts';
import {type Environment, parseTask, sizeFields, volumeSchema} from '../importer/options.ts';

const copyTask = z.object({source: volumeSchema, target: volumeSchema, ...sizeFields});

export function parseCopyTask(env: Environment): CopyTask {
	return parseTask(copyTask, env);
}
