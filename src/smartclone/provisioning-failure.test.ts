import {describe, expect, test} from 'vitest';
import {claim, provisioningFailed} from '../../test/support/builders.ts';
import {MemoryCaches} from '../../test/support/memory-caches.ts';
import * as resources from '../kube/resources.ts';
import {failureOf, failuresByClaim, type FailureKind, parseFailure} from './provisioning-failure.ts';

const provisioner = (code: string) =>
	`failed to provision volume with StorageClass "fast": rpc error: code = ${code} desc = the driver's words`;
const snapshotter = (code: string) =>
	`Failed to check and update snapshot content: failed to take snapshot of the volume pvc-1: "rpc error: code = ${code} desc = the driver's words"`;

describe('parseFailure', () => {
	const codes: readonly (readonly [string, FailureKind])[] = [
		['Aborted', 'busy'],
		['ResourceExhausted', 'busy'],
		['Unavailable', 'busy'],
		['DeadlineExceeded', 'busy'],
		['Canceled', 'busy'],
		['NotFound', 'notFound'],
		['InvalidArgument', 'permanent'],
		['OutOfRange', 'permanent'],
		['Unimplemented', 'permanent'],
		['FailedPrecondition', 'permanent'],
		['Internal', 'unknown'],
		['Unknown', 'unknown'],
		['AlreadyExists', 'unknown'],
		['PermissionDenied', 'unknown'],
		['Unauthenticated', 'unknown'],
		['DataLoss', 'unknown'],
		['constructor', 'unknown'],
	];

	test.each(codes)('%s of a restore and of a cut is %s', (code, kind) => {
		expect(parseFailure(provisioner(code))).toEqual({kind, code, message: "the driver's words"});
		expect(parseFailure(snapshotter(code))).toMatchObject({kind, code});
	});

	test.each<[string, FailureKind, string]>([
		[
			'CSI driver does not support clone operations: controller CLONE_VOLUME capability is not reported',
			'permanent',
			'Unimplemented',
		],
		[
			'error getting handle for DataSource Type VolumeSnapshot by Name s: requested volume size 1 is less than the size 2 for the source snapshot s',
			'permanent',
			'OutOfRange',
		],
		[
			'error, new PVC request must be greater than or equal in size to the specified PVC data source, requested 1 but source is 2',
			'permanent',
			'OutOfRange',
		],
		['created volume capacity 1 less than requested capacity 2', 'permanent', 'OutOfRange'],
		['volume content source missing', 'permanent', 'Unimplemented'],
		[
			'requested volume ns/s modifies the mode of the source volume but does not have permission to do so. x',
			'permanent',
			'FailedPrecondition',
		],
		['content: can not find snapshot for snapshotID 4711', 'notFound', 'NotFound'],
		['failed to provision: context deadline exceeded', 'busy', 'DeadlineExceeded'],
		['persistentvolumes "pvc-1" is forbidden: exceeded quota: q', 'refused', 'Forbidden'],
		['secrets "s" is forbidden: User "p" cannot get resource "secrets"', 'refused', 'Forbidden'],
		['error getting snapshot s from api server: volumesnapshots "s" not found', 'unknown', 'Unknown'],
		['storageclass.storage.k8s.io "x" not found', 'unknown', 'Unknown'],
		['(combined from similar events): rpc error: code = Aborted desc = busy', 'busy', 'Aborted'],
		['', 'unknown', 'Unknown'],
	])('"%s" is %s', (text, kind, code) => {
		expect(parseFailure(text)).toMatchObject({kind, code});
	});

	test('the code that was answered counts, not one that it quotes', () => {
		const text = 'rpc error: code = Internal desc = backend: rpc error: code = NotFound desc = pool';
		expect(parseFailure(text)).toMatchObject({kind: 'unknown', code: 'Internal'});
	});
});

describe('failureOf', () => {
	const of = claim({phase: 'Pending'});
	const failing = (...events: Parameters<typeof provisioningFailed>[1][]) => {
		const memory = new MemoryCaches(
			events.map((options, index) => provisioningFailed(of, {name: `event-${index}`, ...options})),
		);
		memory.caches.addIndex(resources.events, failuresByClaim);
		return failureOf(memory.caches, of)?.code;
	};
	const at = (second: number) => `2026-01-01T00:00:0${second}Z`;

	test('is the last that was told, of this very claim', () => {
		expect(failing()).toBeUndefined();
		const message = provisioner('Aborted');
		expect(failing({message, at: at(2)}, {message: provisioner('OutOfRange'), at: at(1)})).toBe('Aborted');
		expect(failing({message}, {message: provisioner('OutOfRange'), about: 'another-uid'})).toBe('Aborted');
		expect(failing({message}, {message: provisioner('OutOfRange'), resourceVersion: '9'})).toBe('OutOfRange');
	});

	test('is no other reason and no other kind', () => {
		expect(failing({message: 'm', reason: 'ExternalProvisioning'})).toBeUndefined();
	});
});
