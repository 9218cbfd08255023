import {readFileSync} from 'node:fs';
import type {Logger} from '../../../src/process/log.ts';
import {hasErrno} from './errors.ts';
import {type FaultSettings, noFaultSettings, parseFaultSettings} from './faults.ts';

/**
 * The switch file as it is now. It is read anew for every question: a change holds from the next call on, whatever replaced the
 * file and however fast. No file, no faults. A file that cannot be understood is told in the log, once, and what was understood
 * last goes on holding.
 */
export class FaultFile {
	readonly #file: string | undefined;
	readonly #logger: Logger;
	readonly #onChange: (settings: FaultSettings) => void;
	/** What the file was when it was last looked at: its text, or why it could not be read. */
	#seen: string | undefined;
	#settings = noFaultSettings;

	constructor(file: string | undefined, logger: Logger, onChange: (settings: FaultSettings) => void = () => undefined) {
		this.#file = file;
		this.#logger = logger;
		this.#onChange = onChange;
	}

	settings(): FaultSettings {
		if (this.#file === undefined) return this.#settings;
		const look = readIfThere(this.#file);
		const seen = look instanceof Error ? look.message : look;
		if (seen === this.#seen) return this.#settings;
		this.#seen = seen;
		try {
			if (look instanceof Error) throw look;
			this.#settings = look === undefined ? noFaultSettings : parseFaultSettings(look);
			this.#onChange(this.#settings);
			this.#logger.info({file: this.#file, faults: this.#settings}, 'faults changed');
		} catch (error) {
			this.#logger.error({error, file: this.#file}, 'the fault file is wrong; the faults before it go on');
		}
		return this.#settings;
	}
}

function readIfThere(file: string): string | Error | undefined {
	try {
		return readFileSync(file, 'utf8');
	} catch (error) {
		if (hasErrno(error, 'ENOENT')) return undefined;
		return error instanceof Error ? error : new Error(String(error));
	}
}
