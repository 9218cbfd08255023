/** metav1.Time, as the API server writes it: RFC 3339 in UTC, whole seconds. */
export function timestampOf(msSince1970: number): string {
	return new Date(msSince1970).toISOString().replace(/\.\d+Z$/, 'Z');
}
