/** Waiting for DataVolumes, with what they say of themselves when it takes too long. */
import {findCondition} from '../../src/api/conditions.ts';
import type {DataVolume} from '../../src/api/datavolume.ts';
import type {KubeApi, ObjectKey} from '../../src/kube/client.ts';
import {dataVolumes} from '../../src/kube/resources.ts';
import {GiveUp, until} from '../cluster/until.ts';

type Named = {readonly metadata: ObjectKey};

function describe(dataVolume: DataVolume | undefined): string {
	const {phase, conditions} = dataVolume?.status ?? {};
	const texts = (conditions ?? [])
		.filter(({message}) => message)
		.map(({type, reason, message}) => `${type} ${reason}: ${message}`);
	return `${dataVolume?.metadata.namespace}/${dataVolume?.metadata.name} ${phase} (${texts.join('; ')})`;
}

export async function waitForDataVolume(
	api: KubeApi,
	{metadata}: Named,
	isSo: (dataVolume: DataVolume) => boolean,
	timeoutMs = 180_000,
): Promise<DataVolume> {
	let last: DataVolume | undefined;
	try {
		return await until(
			`DataVolume ${metadata.namespace}/${metadata.name}`,
			async () => {
				last = await api.find(dataVolumes, metadata);
				return last && isSo(last) ? last : undefined;
			},
			{timeoutMs, intervalMs: 200},
		);
	} catch (error) {
		throw new Error(`${error instanceof Error ? error.message : String(error)}; it is ${describe(last)}`, {
			cause: error,
		});
	}
}

/** Until all have the phase Succeeded; gives up at once where one has Failed. */
export async function waitForSucceeded(api: KubeApi, all: readonly Named[], timeoutMs = 300_000): Promise<void> {
	await Promise.all(
		all.map((one) =>
			waitForDataVolume(
				api,
				one,
				(dataVolume) => {
					if (dataVolume.status?.phase === 'Failed') throw new GiveUp(`failed: ${describe(dataVolume)}`);
					return dataVolume.status?.phase === 'Succeeded';
				},
				timeoutMs,
			),
		),
	);
}

export function reasonOf(
	dataVolume: DataVolume,
	type: 'Bound' | 'Running' | 'Ready',
): {reason: string; message: string} {
	const {reason = '', message = ''} = findCondition(dataVolume.status?.conditions, type) ?? {};
	return {reason, message};
}
