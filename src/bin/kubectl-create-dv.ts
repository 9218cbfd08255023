#!/usr/bin/env node
import {createDv} from '../cli/program.ts';
import {start} from '../cli/start.ts';

await start(createDv);
