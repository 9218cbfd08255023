import {describe, expect, test} from 'vitest';
import {sharedSnapshot} from '../../test/support/builders.ts';
import {ModelApiServer} from '../../test/support/model/api-server.ts';
import {finalizers} from '../api/names.ts';
import * as resources from '../kube/resources.ts';
import {execute, type ExecuteContext} from './execute.ts';
import {makeStripeSnapshot} from './objects.ts';
import {WaitingRequests} from './requests.ts';

const never = () => {
	throw new Error('nobody asks for an assignment');
};

function world() {
	const server = new ModelApiServer();
	const made = server.create(resources.sharedSnapshots, sharedSnapshot({finalizers: [finalizers.sharedSnapshot]}));
	const context: ExecuteContext = {
		api: server.api,
		requests: {assignedTo: () => [], assign: never},
		waiting: new WaitingRequests(() => {}),
		signal: new AbortController().signal,
	};
	const release = async () => {
		await execute(context, {do: 'release', shared: made});
		return server.get(resources.sharedSnapshots, {name: made.metadata.name})?.metadata.finalizers ?? [];
	};
	return {server, made, release};
}

describe('a SharedSnapshot', () => {
	test('is released when nothing of it is left', async () => {
		expect(await world().release()).toEqual([]);
	});

	test('stays as long as the server has a VolumeSnapshot of it, also one that no cache shows', async () => {
		const {server, made, release} = world();
		server.create(resources.volumeSnapshots, makeStripeSnapshot(made, 0));
		expect(await release()).toEqual([finalizers.sharedSnapshot]);
	});
});
