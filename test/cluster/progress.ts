/** Progress goes to standard error, so that standard output stays usable: `eval "$(make -s cluster)"`. */
export function report(message: string): void {
	process.stderr.write(`${message}\n`);
}

/**
 * Runs a step. A quick one stays silent; one that takes more than two seconds says what it does, says so again every ten seconds, and
 * says in the end how long it took. `detail` is asked for something that shows life.
 */
export async function withProgress<T>(
	what: string,
	step: () => Promise<T>,
	detail: () => string = () => '',
): Promise<T> {
	const startedAt = Date.now();
	const seconds = () => ((Date.now() - startedAt) / 1000).toFixed(1);
	let spoke = false;
	const first = setTimeout(() => {
		spoke = true;
		report(`${what} ...`);
	}, 2000);
	const again = setInterval(() => report(`${what} ... ${seconds()} s ${detail()}`.trimEnd()), 10_000);
	try {
		const result = await step();
		if (spoke) report(`${what}: done after ${seconds()} s`);
		return result;
	} catch (error) {
		if (spoke) report(`${what}: failed after ${seconds()} s`);
		throw error;
	} finally {
		clearTimeout(first);
		clearInterval(again);
	}
}
