/**
 * The keys of copies by two Pods. Both need the same one, in a Secret each, and the controller reads no Secrets: it could not
 * tell what is in one that is there already. So this process derives its keys from a secret that it never writes down, and
 * the names of its Secrets end with what tells it from any other process: what is there under such a name has its key.
 */
import {createHmac, randomBytes} from 'node:crypto';
import type {Pod} from '../api/kubernetes.ts';
import {copyKeyBytes, copyKeyFile} from '../api/worker-contract.ts';
import type {DataObject} from '../kube/resources.ts';

export class CopyKeys {
	readonly #suffix = randomBytes(5).toString('hex');
	readonly #secret = randomBytes(copyKeyBytes);

	/** The sender of a copy and the Secrets of its two Pods, as they are written. */
	complete(sender: Pod, keys: readonly DataObject[]): {readonly pod: Pod; readonly keys: readonly DataObject[]} {
		const names = new Set(keys.map(({metadata}) => metadata.name));
		const volumes = sender.spec.volumes?.map((volume) =>
			volume.secret && names.has(volume.secret.secretName)
				? {...volume, secret: {...volume.secret, secretName: this.#nameOf(volume.secret.secretName)}}
				: volume,
		);
		return {
			pod: {...sender, spec: {...sender.spec, ...(volumes && {volumes})}},
			keys: keys.map((key) => ({
				...key,
				metadata: {...key.metadata, name: this.#nameOf(key.metadata.name)},
				data: {[copyKeyFile]: this.#keyOf(key.metadata.name)},
			})),
		};
	}

	#nameOf(name: string): string {
		return `${name}-${this.#suffix}`;
	}

	#keyOf(name: string): string {
		return createHmac('sha256', this.#secret).update(name).digest('base64');
	}
}
