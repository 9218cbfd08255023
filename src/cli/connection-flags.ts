/** kubectl's own flags for which cluster, as whom and in which namespace. */
import type {FlagValues} from './flags.ts';
import {duration, text} from './flags.ts';

export const connectionFlags = {
	namespace: text({
		help: 'Namespace; default: that of the context',
		value: 'NAMESPACE',
		short: 'n',
		completes: 'namespaces',
	}),
	kubeconfig: text({help: 'Path of the kubeconfig', value: 'FILE', completes: 'file'}),
	context: text({help: 'Context of the kubeconfig', value: 'NAME', completes: 'contexts'}),
	cluster: text({help: 'Cluster of the kubeconfig', value: 'NAME', completes: 'clusters'}),
	user: text({help: 'User of the kubeconfig', value: 'NAME', completes: 'users'}),
	as: text({help: 'User to act as, where you may', value: 'NAME'}),
	'request-timeout': duration({help: 'Give a request up after so long; default 30s'}),
};

export type ConnectionValues = FlagValues<typeof connectionFlags>;
