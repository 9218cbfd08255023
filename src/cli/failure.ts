/** What went wrong, in one sentence for a person who did not write this program. */
import {ApiError, isForbidden, isNotFound, isUnauthorized, NoAnswerError} from '../kube/errors.ts';

/** Something that the user asked for and that cannot be had; the message is the whole sentence. */
export class Refusal extends Error {
	override readonly name = 'Refusal';
}

/** The API server knows no such kind: of an object that is missing it tells the name. */
function isKindMissing(error: unknown): boolean {
	return isNotFound(error) && error.reason !== 'NotFound';
}

const notInstalled =
	'This cluster has no DataVolumes: onesnap is not installed in it (kubectl apply -k manifests/base), or the context is another cluster';

export function sentenceOf(error: unknown): string {
	if (isKindMissing(error)) {
		const {path} = error as ApiError;
		if (path.includes('/cdi.kubevirt.io/') && path.includes('/datavolumes')) return notInstalled;
		return `The cluster does not serve ${path}`;
	}
	if (isUnauthorized(error)) {
		return `The API server does not know you (401): log in again, or choose another --user or --context`;
	}
	if (isForbidden(error)) return `Refused: ${error.statusMessage}`;
	if (error instanceof ApiError) return sentence(error.statusMessage);
	if (error instanceof NoAnswerError) {
		const why = error.message.slice(error.message.indexOf(': ') + 2);
		const hint =
			error.reason === 'Connection'
				? ': is the cluster running, and is this the right --kubeconfig and --context?'
				: '';
		return `No answer from the API server (${why})${hint}`;
	}
	return sentence(error instanceof Error ? error.message : String(error));
}

function sentence(text: string): string {
	return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
