#!/usr/bin/env node
import {dv} from '../cli/program.ts';
import {start} from '../cli/start.ts';

await start(dv);
