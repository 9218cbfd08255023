import {expect, test} from 'vitest';
import {claim, type ClaimOptions, importSource, workerDefaults} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import {ModelApiServer} from '../../test/support/model/api-server.ts';
import {annotations} from '../api/names.ts';
import * as resources from '../kube/resources.ts';
import {CopyKeys} from './copy-keys.ts';
import {decide} from './decide.ts';
import {execute} from './execute.ts';
import {fillFrom} from './in-place.ts';
import {observe} from './observe.ts';
import {addPopulationIndexes} from './population.ts';

const marked = fillFrom({kind: 'VolumeImportSource', name: 'import'});
const target = (options: ClaimOptions = {}) =>
	claim({name: 'target', ...options, annotations: {...marked, ...options.annotations}});
const complete = target({annotations: {[annotations.populated]: 'true'}});

test.each([
	['is as the caches show it', target(), 1],
	['is complete', complete, 0],
	['is being deleted', target({deleting: true, finalizers: ['kubernetes.io/pvc-protection']}), 0],
	['is another one of that name', {...target(), metadata: {...target().metadata, uid: 'another'}}, 0],
])('a claim that %s by now, on the server, gets so many workers that clear it: %#', async (_, live, workers) => {
	const {caches} = new MemoryCaches([target(), importSource({name: 'import'})]);
	addPopulationIndexes(caches);
	const plan = decide(observe('ns/target', caches, 0), {...workerDefaults, image: 'worker'});
	expect(plan.do).toBe('createWorker');
	const server = new ModelApiServer();
	server.create(resources.persistentVolumeClaims, live);
	await execute({api: server.api, copyKeys: new CopyKeys(), signal: new AbortController().signal}, plan);
	expect(server.list(resources.pods)).toHaveLength(workers);
});
