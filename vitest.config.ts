import {defineConfig} from 'vitest/config';

export default defineConfig({
	test: {
		reporters: ['default'],
		projects: [
			{
				test: {
					name: 'unit',
					include: [
						'src/**/*.test.ts',
						'test/support/**/*.test.ts',
						'test/cluster/**/*.test.ts',
						'test/crash/**/*.test.ts',
						'test/kubevirt/**/*.test.ts',
						'test/import/**/*.test.ts',
						'images/**/*.test.ts',
					],
					globalSetup: ['test/support/unit-setup.ts'],
					// Of two cores one would be left alone.
					maxWorkers: '100%',
					// Who hangs ends here; how fast this machine is decides nothing.
					testTimeout: 120_000,
					hookTimeout: 120_000,
				},
			},
			{
				test: {
					name: 'integration',
					include: ['test/integration/**/*.test.ts'],
					globalSetup: ['test/integration/setup.ts'],
					// They wait more than they compute.
					maxWorkers: '100%',
					testTimeout: 120_000,
					hookTimeout: 120_000,
				},
			},
			{
				test: {
					name: 'driver',
					include: ['test/driver/**/*.test.ts'],
					globalSetup: ['test/driver/setup.ts'],
					setupFiles: ['test/driver/only-local.ts'],
					testTimeout: 120_000,
					// A test of one file must be able to be by itself.
					fileParallelism: false,
					maxConcurrency: 4,
				},
			},
			{
				test: {
					name: 'e2e',
					include: ['test/e2e/**/*.test.ts'],
					globalSetup: ['test/e2e/setup.ts'],
					testTimeout: 400_000,
					hookTimeout: 900_000,
					fileParallelism: false,
				},
			},
			{
				test: {
					name: 'faults',
					include: ['test/faults/**/*.test.ts'],
					globalSetup: ['test/e2e/setup.ts'],
					testTimeout: 400_000,
					hookTimeout: 900_000,
					maxConcurrency: 12,
				},
			},
			{
				test: {
					name: 'topology',
					include: ['test/topology/**/*.test.ts'],
					globalSetup: ['test/topology/setup.ts'],
					testTimeout: 400_000,
					hookTimeout: 900_000,
					fileParallelism: false,
				},
			},
		],
	},
});
