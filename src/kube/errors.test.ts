import {describe, expect, test} from 'vitest';
import {
	ApiError,
	isAlreadyExists,
	isConflict,
	isExceededQuota,
	isForbidden,
	isGone,
	isInvalid,
	isNotFound,
	isTooManyRequests,
	isUnauthorized,
	parseRetryAfter,
} from './errors.ts';

const request = {method: 'POST', path: '/api/v1/things'};
const make = (code: number, reason: string, message = 'words') => new ApiError(request, {code, reason, message});

describe('ApiError', () => {
	test('says what was tried and what came', () => {
		expect(make(404, 'NotFound', 'things "a" not found').message).toBe(
			'POST /api/v1/things: 404 NotFound: things "a" not found',
		);
	});

	test('knows how long the server asks to wait, from the header or from the Status', () => {
		const status = {code: 429, details: {retryAfterSeconds: 3}};
		expect(new ApiError(request, status).retryAfterMs).toBe(3000);
		expect(new ApiError(request, status, 5000).retryAfterMs).toBe(5000);
		expect(make(500, 'InternalError').retryAfterMs).toBeUndefined();
	});

	const predicates = [
		isNotFound,
		isConflict,
		isAlreadyExists,
		isInvalid,
		isGone,
		isUnauthorized,
		isTooManyRequests,
		isForbidden,
	];

	test.each([
		[isNotFound, make(404, 'NotFound')],
		[isConflict, make(409, 'Conflict')],
		[isAlreadyExists, make(409, 'AlreadyExists')],
		[isInvalid, make(422, 'Invalid')],
		[isGone, make(410, 'Expired')],
		[isUnauthorized, make(401, 'Unauthorized')],
		[isTooManyRequests, make(429, 'TooManyRequests')],
		[isForbidden, make(403, 'Forbidden')],
	])('$0.name and no other fits $1.code $1.reason', (fitting, error) => {
		expect(predicates.filter((predicate) => predicate(error))).toEqual([fitting]);
		expect(fitting(new Error('other'))).toBe(false);
	});

	test('a quota is told from other refusals by its sentence', () => {
		const message = 'persistentvolumeclaims "a" is forbidden: exceeded quota: q, requested: requests.storage=1Gi';
		expect(isExceededQuota(make(403, 'Forbidden', message))).toBe(true);
		expect(isExceededQuota(make(403, 'Forbidden'))).toBe(false);
	});
});

test.each([
	[undefined, undefined],
	['2', 2000],
	['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
	['Wed, 31 Dec 2025 00:00:00 GMT', 0],
	['soon', undefined],
])('Retry-After %s', (header, expected) => {
	expect(parseRetryAfter(header, Date.parse('2026-01-01T00:00:00Z'))).toBe(expected);
});
