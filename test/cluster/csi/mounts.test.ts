import {expect, it} from 'vitest';
import {parseMountinfo} from './mounts.ts';

it('reads mountinfo: file systems, bind mounts of device nodes, optional fields, escaped blanks', () => {
	const text = [
		'42 27 7:1 / /var/lib/kubelet/staging rw,relatime shared:5 master:1 - ext4 /dev/loop1 rw',
		'43 27 0:6 /loop8 /var/lib/kubelet/a\\040b ro,nosuid - devtmpfs devtmpfs rw,size=4k',
		'',
	].join('\n');
	expect(parseMountinfo(text)).toEqual([
		{path: '/var/lib/kubelet/staging', deviceNumber: '7:1', root: '/', fsType: 'ext4', readOnly: false},
		{path: '/var/lib/kubelet/a b', deviceNumber: '0:6', root: '/loop8', fsType: 'devtmpfs', readOnly: true},
	]);
});
