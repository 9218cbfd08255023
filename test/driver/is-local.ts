/** Whoever tests on a cluster of their own has no use for the local one's driver, and may not be root. */
export const isLocal = !process.env['ONESNAP_KUBECONFIG'];
