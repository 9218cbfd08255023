/** Every fault switch of the local storage, alone and with every other one. */
import {defineCases} from './define-cases.ts';
import {pairs, singles} from './switches.ts';

defineCases([...singles, ...pairs]);
