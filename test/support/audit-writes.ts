/** Counts writes in the API server's audit log, which has a line for every write request that was answered, refused ones too. */
import {open, stat} from 'node:fs/promises';

export interface Writes {
	/** By onesnap's controller; its Lease apart. */
	readonly ours: number;
	/** By the control plane and the sidecars; Leases and the state of nodes apart. */
	readonly others: number;
	/** Ours, as `patch datavolumes/status`. */
	readonly oursByKind: Readonly<Record<string, number>>;
	/** Those of others by whoever made them. */
	readonly othersByClient: Readonly<Record<string, number>>;
}

interface AuditEntry {
	readonly verb?: string;
	readonly user?: {readonly username?: string};
	readonly userAgent?: string;
	readonly objectRef?: {readonly resource?: string; readonly subresource?: string};
}

/** What comes by itself, clones or not. */
const background = new Set(['leases', 'nodes', 'tokenreviews', 'subjectaccessreviews']);
const controller = 'system:serviceaccount:onesnap:onesnap-controller';

export function auditSize(file: string): Promise<number> {
	return stat(file).then(({size}) => size);
}

async function readFrom(file: string, offset: number): Promise<string> {
	await using handle = await open(file);
	const {size} = await handle.stat();
	const {buffer, bytesRead} = await handle.read({buffer: Buffer.alloc(Math.max(0, size - offset)), position: offset});
	return buffer.toString('utf8', 0, bytesRead);
}

/** Since the log had so many bytes. What comes from this user agent is the test's own, and nobody's. */
export async function writesSince(file: string, offset: number, ownUserAgent: string): Promise<Writes> {
	const oursByKind: Record<string, number> = {};
	const othersByClient: Record<string, number> = {};
	const add = (counts: Record<string, number>, name: string) => {
		counts[name] = (counts[name] ?? 0) + 1;
	};
	for (const line of (await readFrom(file, offset)).split('\n')) {
		// The last line may still be on its way.
		if (!line.endsWith('}')) continue;
		const {verb, user, userAgent = '', objectRef = {}}: AuditEntry = JSON.parse(line);
		const {resource = '', subresource} = objectRef;
		if (background.has(resource) || userAgent.startsWith(ownUserAgent)) continue;
		if (user?.username === controller) add(oursByKind, `${verb} ${resource}${subresource ? `/${subresource}` : ''}`);
		else add(othersByClient, `${userAgent.split('/', 1)[0]} ${user?.username?.split(':').at(-1)}`);
	}
	const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
	return {ours: sum(oursByKind), others: sum(othersByClient), oursByKind, othersByClient};
}
