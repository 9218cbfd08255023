import {describe, expect, it} from 'vitest';
import {
	isCgroupMember,
	listProcesses,
	parseEnvironment,
	parseStartTicks,
	type Process,
	splitZeroTerminated,
} from './processes.ts';

const process1 = (cgroups: string): Process => ({pid: 1, argv: ['x'], environment: new Map(), cgroups, startTicks: 0});

it('keeps empty arguments', () => {
	expect(splitZeroTerminated('sh\0-c\0\0')).toEqual(['sh', '-c', '']);
});

it('cuts environment entries at the first equals sign', () => {
	expect([...parseEnvironment('A=1=2\0B=\0odd\0')]).toEqual([
		['A', '1=2'],
		['B', ''],
		['odd', ''],
	]);
});

describe('isCgroupMember', () => {
	it.each([
		['a pod on cgroup v1', '9:name=systemd:/\n4:memory:/onesnap-1/kubepods/pod2/3\n', true],
		['a pod on cgroup v2', '0::/onesnap-1/kubepods/pod2/3\n', true],
		['the cgroup itself', '0::/onesnap-1\n', true],
		['a cgroup whose name only begins so', '0::/onesnap-12/kubepods\n', false],
		['one further down', '0::/user/onesnap-1\n', false],
	])('%s', (_, cgroups, member) => {
		expect(isCgroupMember(process1(cgroups), '/onesnap-1')).toBe(member);
	});
});

it('lists this very process', async () => {
	const self = (await listProcesses()).find(({pid}) => pid === process.pid);
	expect(self?.environment.get('PATH')).toBe(process.env['PATH']);
});

it('finds the start time after a name with spaces and parentheses in it', () => {
	const rest = Array.from({length: 30}, (_, index) => index + 3).join(' ');
	expect(parseStartTicks(`7 (a ) b) ${rest}`)).toBe(22);
});
