import {describe, expect, it} from 'vitest';
import {chooseAddresses, clusterNumbers, makeAddresses} from './addresses.ts';
import {networksOverlap} from './ipv4.ts';

const networksOf = (number: number) => {
	const {linkNetwork, podNetwork, serviceNetwork} = makeAddresses(number);
	return [linkNetwork, podNetwork, serviceNetwork];
};

describe('makeAddresses', () => {
	it('gives the host and the node the two addresses of the link', () => {
		expect(makeAddresses(7)).toEqual({
			number: 7,
			linkNetwork: '10.243.7.0/30',
			hostAddress: '10.243.7.1',
			nodeAddress: '10.243.7.2',
			podNetwork: '10.244.7.0/24',
			serviceNetwork: '10.245.7.0/24',
		});
	});

	it('gives no two clusters networks that meet', () => {
		const all = Array.from({length: clusterNumbers}, (_, number) => networksOf(number)).flat();
		const meeting = all.filter((a, i) => all.some((b, j) => i < j && networksOverlap(a, b)));
		expect(meeting).toEqual([]);
	});
});

describe('chooseAddresses', () => {
	it('takes the preferred number on a machine without clusters', () => {
		expect(chooseAddresses(42, ['0.0.0.0/0', '192.0.2.0/24']).number).toBe(42);
	});

	it('steps over another cluster, which shows by its routes', () => {
		expect(chooseAddresses(42, networksOf(42)).number).toBe(43);
	});

	it('steps over a network that only meets the pods', () => {
		expect(chooseAddresses(42, ['10.244.42.0/23', '10.244.44.17']).number).toBe(45);
	});

	it('begins again from 0', () => {
		expect(chooseAddresses(255, networksOf(255)).number).toBe(0);
	});

	it("does not mind a VPN's wide route: ours are narrower", () => {
		expect(chooseAddresses(42, ['10.0.0.0/8']).number).toBe(42);
	});

	it('says so when nothing is free', () => {
		const all = Array.from({length: clusterNumbers}, (_, number) => networksOf(number)).flat();
		expect(() => chooseAddresses(0, all)).toThrow('no networks left');
	});
});
