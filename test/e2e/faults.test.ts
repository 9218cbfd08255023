/** Every fault switch of the local storage by itself; `make test-faults` has them in pairs too. */
import {test} from 'vitest';
import {defineCases} from '../faults/define-cases.ts';
import {singles} from '../faults/switches.ts';
import {local} from './world.ts';

if (local) defineCases(singles);
else test('faults can be switched on in the local cluster only', () => undefined);
