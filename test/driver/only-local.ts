import {beforeEach} from 'vitest';
import {isLocal} from './is-local.ts';

beforeEach((context) => context.skip(!isLocal, 'ONESNAP_KUBECONFIG names another cluster'));
