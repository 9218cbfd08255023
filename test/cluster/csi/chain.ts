/** One call of an RPC on its way through the interceptors to its handler. */
export type RpcCall = {
	readonly service: string;
	readonly rpc: string;
	readonly request: object;
	/** What the handler wants the journal to know beyond its response. */
	readonly notes: RpcNotes;
};

export type RpcNotes = {
	/** The object was there already: an idempotent answer to a repeated call, nothing was made. */
	repeated?: boolean;
	/** Fault switches that the call has met, by their names in the switch file. */
	faults?: readonly string[];
};

/**
 * Something that happens around every RPC: it may look at the call, refuse it by throwing, delay it, change the response. The
 * journal, the fault switches and the locks are interceptors, in this order.
 */
export type Interceptor = (call: RpcCall, next: () => Promise<object>) => Promise<object>;

/** An RPC's implementation. All fields of all request types are optional, so each handler can name its own type here. */
export type Handler = (request: object, notes: RpcNotes) => Promise<object> | object;

/** The RPCs a service implements, by name. One that is missing answers UNIMPLEMENTED. */
export type Handlers = Readonly<Record<string, Handler>>;

/** Runs a call through the interceptors, the first being the outermost. */
export function runThrough(
	interceptors: readonly Interceptor[],
	call: RpcCall,
	handle: () => Promise<object>,
): Promise<object> {
	const [first, ...others] = interceptors;
	if (!first) return handle();
	return first(call, () => runThrough(others, call, handle));
}
