import {describe, expect, test} from 'vitest';
import {parseFlags, UsageError} from './flags.ts';
import {makeNewDisk, newDiskFlags} from './new-disk.ts';

function make(...args: string[]) {
	const {values, positionals} = parseFlags(newDiskFlags, args);
	return makeNewDisk(positionals[0], 'ns', values);
}

function mistakes(...args: string[]): readonly string[] {
	try {
		make(...args);
		return [];
	} catch (error) {
		if (!(error instanceof UsageError)) throw error;
		return error.mistakes;
	}
}

const url = 'https://images.example.com/debian.qcow2';
const sized = (size: string) => ({resources: {requests: {storage: size}}});

describe('a new disk', () => {
	test('is imported, with all that an import can be told', () => {
		const checksum = `sha256:${'0'.repeat(64)}`;
		const words = ['--checksum', checksum, '--secret=s', '--cert-configmap=c', '--header', 'A: 1', '--header', 'B: 2'];
		expect(make('debian', '--http', url, '--size=10Gi', ...words, '--content-type=archive')).toEqual({
			apiVersion: 'cdi.kubevirt.io/v1beta1',
			kind: 'DataVolume',
			metadata: {name: 'debian', namespace: 'ns'},
			spec: {
				source: {http: {url, checksum, secretRef: 's', certConfigMap: 'c', extraHeaders: ['A: 1', 'B: 2']}},
				contentType: 'archive',
				storage: sized('10Gi'),
			},
		});
	});

	test('is stored as the flags say', () => {
		const words = ['--class=fast', '--access-mode=rwx,ReadWriteOnce', '--volume-mode=Block', '--preallocation'];
		const notes = ['--immediate', '--priority-class=high', '-l', 'app=vm', '--annotation', 'onesnap.io/immutable=true'];
		expect(make('disk', '--blank', '--size=1Gi', ...words, ...notes)).toMatchObject({
			metadata: {
				labels: {app: 'vm'},
				annotations: {'cdi.kubevirt.io/storage.bind.immediate.requested': 'true', 'onesnap.io/immutable': 'true'},
			},
			spec: {
				source: {blank: {}},
				preallocation: true,
				priorityClassName: 'high',
				storage: {
					storageClassName: 'fast',
					accessModes: ['ReadWriteMany', 'ReadWriteOnce'],
					volumeMode: 'Block',
					...sized('1Gi'),
				},
			},
		});
	});

	test.each([
		[['--pvc=golden/debian'], {source: {pvc: {namespace: 'golden', name: 'debian'}}}],
		[['--pvc=debian'], {source: {pvc: {namespace: 'ns', name: 'debian'}}}],
		[['--snapshot=golden/cut'], {source: {snapshot: {namespace: 'golden', name: 'cut'}}}],
		[['--from=debian'], {sourceRef: {kind: 'DataSource', name: 'debian'}}],
		[['--from=golden/debian'], {sourceRef: {kind: 'DataSource', namespace: 'golden', name: 'debian'}}],
	])('of %s takes the size of its source', (words, content) => {
		expect(make('disk', ...words).spec).toEqual({...content, storage: {}});
	});

	test.each<[string, readonly string[], string]>([
		['no name', ['--blank', '--size=1Gi'], 'the name of the DataVolume is missing: kubectl create dv NAME …'],
		[
			'a name that is none',
			['VM_1', '--blank', '--size=1Gi'],
			'the name is lower-case letters, digits, - and ., and begins and ends with a letter or digit, not "VM_1"',
		],
		[
			'no source',
			['disk', '--size=1Gi'],
			'what the disk is to hold is missing: --http URL, --pvc NAMESPACE/NAME, --snapshot NAMESPACE/NAME, --from DATASOURCE or --blank',
		],
		['two sources', ['disk', '--blank', '--pvc=a/b'], '--pvc and --blank each say what the disk holds: keep one'],
		['no size', ['disk', '--http', url], '--size is missing: how large the disk is to be, for example --size 10Gi'],
		['a claim that is none', ['disk', '--pvc=a/b/c'], '--pvc is NAMESPACE/NAME or NAME, not "a/b/c"'],
		['another scheme', ['disk', '--http=ftp://a/b', '--size=1Gi'], '--http is an http or https URL, not "ftp://a/b"'],
		['no URL', ['disk', '--http=example.com/a', '--size=1Gi'], '--http is an http or https URL, not "example.com/a"'],
		[
			'a checksum that is none',
			['disk', '--http', url, '--size=1Gi', '--checksum=sha256:12'],
			'--checksum: Invalid checksum format: sha256 wants 64 hexadecimal digits after the colon',
		],
		[
			'what is for imports only',
			['disk', '--pvc=a/b', '--checksum=md5:12'],
			'--checksum is of use with --http only: leave it out',
		],
		['headers of a clone', ['disk', '--pvc=a/b', '--header=A: 1'], '--header is of use with --http only: leave it out'],
		[
			'files on a device',
			['disk', '--http', url, '--size=1Gi', '--content-type=archive', '--volume-mode=Block'],
			'--content-type archive needs a file system: leave out --volume-mode Block',
		],
		[
			'an access mode that is none',
			['disk', '--blank', '--size=1Gi', '--access-mode=RW'],
			'--access-mode is one of ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod, not "RW"',
		],
	])('says what is wrong with %s', (_, args, mistake) => {
		expect(mistakes(...args)).toContain(mistake);
	});
});
