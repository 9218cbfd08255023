import {expect, it} from 'vitest';
import {parseMountInfo} from './mounts.ts';

it('takes the mount point out of mountinfo and undoes its escapes', () => {
	const text = `22 1 254:0 / / rw,relatime - ext4 /dev/root rw
31 22 7:0 / /work/my\\040checkout/pool rw shared:1 - xfs /dev/loop0 rw
`;
	expect(parseMountInfo(text)).toEqual(['/', '/work/my checkout/pool']);
});
