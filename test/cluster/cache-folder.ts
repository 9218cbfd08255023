import path from 'node:path';
import {homedir} from 'node:os';

/** What is expensive to make and the same for every checkout: binaries, definitions. */
export const cacheDir = path.join(process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'), 'onesnap');
