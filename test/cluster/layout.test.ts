import {describe, expect, it} from 'vitest';
import {isInside, makeLayout, ownFolders} from './layout.ts';

describe('makeLayout', () => {
	it('gives two checkouts nothing in common', () => {
		const [a, b] = [makeLayout('/work/a'), makeLayout('/work/b')];
		const shared = Object.values(a).filter((value) => Object.values(b).includes(value));
		expect(shared).toEqual([]);
	});

	it('stays the same for the same checkout', () => {
		expect(makeLayout('/work/a')).toEqual(makeLayout('/work/a'));
	});

	it('keeps names within the limits of the kernel, however long the path of the checkout is', () => {
		const layout = makeLayout(`/home/${'x'.repeat(200)}`);
		expect(layout.hostInterface.length).toBeLessThanOrEqual(15);
		expect(`${layout.varDir}/node1/plugins_registry/reflink-local.csi.onesnap.io-reg.sock`.length).toBeLessThanOrEqual(
			107,
		);
	});

	it('never owns a folder that others use', () => {
		for (const folder of ownFolders(makeLayout('/'))) expect(folder.split('/').length).toBeGreaterThan(2);
	});
});

it('does not take a neighbour with a longer name for something inside', () => {
	expect(isInside('/run/a/b', '/run/a')).toBe(true);
	expect(isInside('/run/a', '/run/a')).toBe(true);
	expect(isInside('/run/ab', '/run/a')).toBe(false);
});
