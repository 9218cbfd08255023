/** Events on the target claim, for whoever made it without a DataVolume. Names as CDI has them. */
import type {EventText} from '../kube/events.ts';
import type {PopulatePlan} from './decide.ts';

export function eventOf(plan: PopulatePlan): EventText | undefined {
	switch (plan.do) {
		case 'createClaim':
			return {type: 'Normal', reason: 'CreatedPVCPrimeSuccessfully', message: 'PVC Prime created successfully'};
		case 'giveUp':
			return {type: 'Warning', reason: 'importFailed', message: `${plan.failure}: ${plan.message}`};
		case 'wait':
			return plan.reason === 'StorageClassNotCsi' ||
				plan.reason === 'CloneSourceInUse' ||
				plan.reason === 'CloneWithoutSource' ||
				plan.reason === 'CloneValidationFailed'
				? {type: 'Warning', reason: plan.reason, message: plan.message}
				: undefined;
		case 'nothing':
		case 'createWorker':
		case 'deletePod':
		case 'deleteClaim':
		case 'rememberDisk':
		case 'recordPopulated':
		case 'grow':
		case 'moveVolume':
			return undefined;
		default:
			return plan satisfies never;
	}
}
