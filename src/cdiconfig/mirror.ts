/**
 * CDIConfig.spec from CDI.spec.config. Pure.
 *
 * With CDI's operator nobody but the CDI object is heard, and it says so by an annotation: then the spec is what CDI has.
 * Without it, both are heard: a field that the CDI object has is that, any other is what somebody wrote into CDIConfig. Which
 * fields came from the CDI object is on record, so that one which is taken out there goes here too. Feature gates of which
 * neither says anything are those of CDI's own release.
 */
import type {Cdi, CdiConfig, CdiConfigSpec} from '../api/cdi-config.ts';
import {annotations} from '../api/names.ts';
import {defaultGates} from './feature-gates.ts';

/** What of a CDIConfig follows from the CDI object. */
export interface Mirrored {
	readonly spec: CdiConfigSpec;
	/** Value of the annotation. */
	readonly fields: string;
}

export function mirror(config: Pick<CdiConfig, 'spec' | 'metadata'> | undefined, cdi: Cdi): Mirrored {
	const said = Object.entries(cdi.spec.config ?? {}).filter(([, value]) => value !== undefined);
	const fields = said
		.map(([name]) => name)
		.toSorted()
		.join(',');
	const given = config?.metadata.annotations?.[annotations.mirroredFields] ?? '';
	const before = new Set(given.split(','));
	const isAlone = cdi.metadata.annotations?.[annotations.configAuthority] !== undefined;
	const own = isAlone ? [] : Object.entries(config?.spec ?? {}).filter(([name]) => !before.has(name));
	const gates = isAlone ? {} : {featureGates: defaultGates};
	return {spec: {...gates, ...Object.fromEntries([...own, ...said])}, fields};
}
