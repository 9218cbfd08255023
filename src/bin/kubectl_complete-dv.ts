#!/usr/bin/env node
import {completeDv} from '../cli/program.ts';
import {start} from '../cli/start.ts';

await start(completeDv);
