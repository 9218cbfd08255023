/** On everything cluster-scoped that these tests make, namespaces above all. */
export const testLabel = 'onesnap.io/e2e';
export const testLabels = {[testLabel]: 'true'} as const;
