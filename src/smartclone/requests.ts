/**
 * Clone requests as this layer sees them: something that wants the content of a claim, durably assigned to one
 * SharedSnapshot before it may use it. Who the requests are (DataVolumes) is the business of the layer above, which
 * implements {@link CloneRequests}.
 *
 * Waiting requests live in memory only: whoever waits asks again in every round of its own controller, so a restart
 * forgets nothing that is not said again. The assignment is durable, on the request.
 */
import type {ReuseRule, SharedSnapshot} from '../api/sharedsnapshot.ts';
import type {CloneWay} from './strategy.ts';

export interface CloneRequest {
	readonly namespace: string;
	readonly name: string;
	readonly uid: string;
	/** The claim whose content is wanted. */
	readonly source: {readonly namespace: string; readonly name: string};
	/** How it is cloned: a copy too may read from a restore of the shared snapshot. */
	readonly way: CloneWay;
	/** Namespace that the snapshot is restored in: the request's own, or the source's where what is restored is moved or copied. */
	readonly restoresIn: string;
	/** What it was assigned to when it asked: of a snapshot that was lost, for example. */
	readonly assigned?: Assignment;
}

/** Names one SharedSnapshot for all time: `name/UID`. Names begin again once the object of that name is gone. */
export type Assignment = string;

export function assignmentTo({metadata}: SharedSnapshot): Assignment {
	return `${metadata.name}/${metadata.uid ?? ''}`;
}

export interface AssignedRequest extends CloneRequest {
	/** `open` until its volume is complete; from then on it needs the snapshot no longer. */
	readonly state: 'open' | 'done';
	/** Its claim waits for a first consumer, which may never come: it needs the snapshot, but restores nothing. */
	readonly parked?: boolean;
}

export interface WaitingRequest extends CloneRequest {
	/** Counted up as requests are seen: whatever is done after the count was taken is done after the request was made. */
	readonly asked: number;
}

/** `changed`: nothing was written, because it is not as it was when it asked. It asks again if it still wants to. */
export type AssignOutcome = 'assigned' | 'gone' | 'changed';

export interface CloneRequests {
	/** Requests that carry the assignment to this SharedSnapshot, from the cache. */
	assignedTo(assignment: Assignment): readonly AssignedRequest[];
	/** Writes the assignment on the request. */
	assign(request: CloneRequest, assignment: Assignment, rule: ReuseRule, signal: AbortSignal): Promise<AssignOutcome>;
}

export function sourceKey(source: {readonly namespace: string; readonly name: string}): string {
	return `${source.namespace}/${source.name}`;
}

interface Remembered {
	readonly request: CloneRequest;
	readonly assignment: Assignment;
	/** The server said yes. Without it the write may have happened or not. */
	readonly written: boolean;
}

/** Who waits for an assignment, and which assignments were written but may not have reached the cache yet. */
export class WaitingRequests {
	readonly #waiting = new Map<string, Map<string, WaitingRequest>>();
	#asked = 0;
	readonly #assigned = new Map<string, Remembered>();
	readonly #wake: (key: string) => void;

	/** @param wake puts a source's key into the controller's queue. */
	constructor(wake: (key: string) => void) {
		this.#wake = wake;
	}

	/** Idempotent: the same request asks in every round until it sees its assignment. */
	ask(request: CloneRequest): void {
		const key = sourceKey(request.source);
		const ofSource = this.#waiting.get(key) ?? new Map<string, WaitingRequest>();
		this.#waiting.set(key, ofSource);
		const known = ofSource.get(request.uid);
		if (known?.way === request.way && known.assigned === request.assigned) return;
		if (!known) this.#asked += 1;
		ofSource.set(request.uid, {...request, asked: known?.asked ?? this.#asked});
		this.#wake(key);
	}

	/** The request was deleted or went another way. */
	withdraw(uid: string): void {
		for (const [key, ofSource] of this.#waiting) {
			if (!ofSource.delete(uid)) continue;
			if (ofSource.size === 0) this.#waiting.delete(key);
			this.#wake(key);
		}
		this.#assigned.delete(uid);
	}

	/**
	 * The request asks no longer: it has what it asked for, or goes another way. What was assigned stays so; a write that was
	 * not answered counts from now on only if the cache shows it, or it would hold its snapshot for ever.
	 */
	stop(uid: string): void {
		for (const [key, ofSource] of this.#waiting) {
			if (ofSource.delete(uid) && ofSource.size === 0) this.#waiting.delete(key);
		}
		const remembered = this.#assigned.get(uid);
		if (!remembered || remembered.written) return;
		this.#assigned.delete(uid);
		this.#wake(sourceKey(remembered.request.source));
	}

	/** Something changed that concerns all who wait. */
	wakeAll(): void {
		for (const key of this.#waiting.keys()) this.#wake(key);
	}

	of(key: string): readonly WaitingRequest[] {
		return [...(this.#waiting.get(key)?.values() ?? [])];
	}

	/**
	 * The assignment is about to be written. The request goes on waiting until the server has said yes: an answer that never
	 * comes must not make it believe in an assignment that no restart would remember.
	 */
	assigning(request: CloneRequest, assignment: Assignment): void {
		this.#assigned.set(request.uid, {request, assignment, written: false});
	}

	/** It was not written, and will not be. The request goes on waiting. */
	notAssigned(uid: string): void {
		if (this.#assigned.get(uid)?.written === false) this.#assigned.delete(uid);
	}

	assigned(request: CloneRequest, assignment: Assignment): void {
		this.#assigned.set(request.uid, {request, assignment, written: true});
		const key = sourceKey(request.source);
		const ofSource = this.#waiting.get(key);
		ofSource?.delete(request.uid);
		if (ofSource?.size === 0) this.#waiting.delete(key);
	}

	/** The cache shows this assignment; it may still show the one before. */
	confirm(uid: string, assignment: Assignment): void {
		if (this.#assigned.get(uid)?.assignment === assignment) this.#assigned.delete(uid);
	}

	/** An assignment that was written but is not in the cache yet. */
	assignmentOf(uid: string): Assignment | undefined {
		const remembered = this.#assigned.get(uid);
		return remembered?.written ? remembered.assignment : undefined;
	}

	/** Assignments to this snapshot that the cache may not show yet. */
	unconfirmed(assignment: Assignment): readonly CloneRequest[] {
		return [...this.#assigned.values()]
			.filter((entry) => entry.assignment === assignment)
			.map((entry) => entry.request);
	}
}
