/** Nodes share one network namespace and shift their ports by their index: these many stay clear of the control plane's. */
const maxNodes = 4;

/** How many nodes the user asks for with NODES; a cluster that has more will do as well. */
export function wantedNodes(environment: Readonly<Record<string, string | undefined>>): number {
	const text = environment['NODES'] || '1';
	const count = Number(text);
	if (Number.isInteger(count) && count >= 1 && count <= maxNodes) return count;
	throw new Error(`NODES=${text}: the local cluster can have 1 to ${maxNodes} nodes`);
}
