/** Rows in columns, as kubectl prints them. */
export function table(rows: readonly (readonly string[])[]): string {
	const widths = rows.reduce<number[]>(
		(widest, row) => row.map((cell, index) => Math.max(widest[index] ?? 0, cell.length)),
		[],
	);
	return rows
		.map((row) =>
			row
				.map((cell, index) => cell.padEnd(widths[index] ?? 0))
				.join('   ')
				.trimEnd(),
		)
		.join('\n');
}
