/** The kinds a claim's `dataSourceRef` names to be filled by onesnap. Shapes as in CDI's API. */
import type {HttpSource} from './datavolume.ts';
import type {KubeObject} from './kubernetes.ts';

export interface VolumeImportSource extends KubeObject {
	readonly spec: {
		readonly source: {readonly http?: HttpSource; readonly blank?: object};
		readonly contentType?: 'kubevirt' | 'archive';
		readonly preallocation?: boolean;
	};
}

/** Lives in the namespace of what is cloned; a claim elsewhere points here with the annotation `dataSourceNamespace`. */
export interface VolumeCloneSource extends KubeObject {
	readonly spec: {
		readonly source: {readonly apiGroup?: string; readonly kind: string; readonly name: string};
		readonly preallocation?: boolean;
		readonly priorityClassName?: string;
	};
}
