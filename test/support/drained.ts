import type {ServerResponse} from 'node:http';

/** The answer takes more, or its connection has ended. */
export function drained(response: ServerResponse): Promise<void> {
	return new Promise((resolve) => {
		const settle = () => {
			response.off('drain', settle).off('close', settle);
			resolve();
		};
		response.once('drain', settle).once('close', settle);
	});
}
