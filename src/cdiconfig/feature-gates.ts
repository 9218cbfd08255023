/** Feature gates of CDI that mean something here. Any other is kept and of no effect. Pure. */
import type {CdiConfig} from '../api/cdi-config.ts';

export type FeatureGate =
	/** Claims of a class that waits for consumers are not filled before one has a node. */
	| 'HonorWaitForFirstConsumer'
	/** A DataVolume takes over a claim of its name that is there already, unless its annotation says otherwise. */
	| 'DataVolumeClaimAdoption';

/** As in CDI's own release: what counts before there is a CDIConfig, and where nobody says which gates are open. */
export const defaultGates: readonly FeatureGate[] = ['HonorWaitForFirstConsumer'];

export function hasFeatureGate(config: CdiConfig | undefined, gate: FeatureGate): boolean {
	const on: readonly string[] = config ? (config.spec.featureGates ?? []) : defaultGates;
	return on.includes(gate);
}
