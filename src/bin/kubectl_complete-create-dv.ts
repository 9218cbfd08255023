#!/usr/bin/env node
import {completeCreateDv} from '../cli/program.ts';
import {start} from '../cli/start.ts';

await start(completeCreateDv);
