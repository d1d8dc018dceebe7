/**
 * The refusal of a leave that may end the customer's call, in words, and the way of an operator: with a reason, as one request of
 * their own. Without the custom permission Sidedoor_Operate there is only the explanation; Apex checks the permission again.
 */
import { LightningElement, api } from 'lwc';
import mayOperate from '@salesforce/customPermission/Sidedoor_Operate';
import { fill, labels } from 'c/labels';

export default class RiskNotice extends LightningElement {
    /** The code of the refusal, under which the documentation explains it. */
    @api code;

    labels = labels;
    reason = '';

    get isOperator() {
        return Boolean(mayOperate);
    }
    get codeText() {
        return fill(labels.RiskCode, this.code);
    }
    get leaveDisabled() {
        return this.reason.trim() === '' ? 'true' : 'false';
    }

    changeReason(event) {
        this.reason = event.detail.value || '';
    }

    leave() {
        if (this.leaveDisabled === 'false') {
            this.dispatchEvent(new CustomEvent('leave', { detail: { reason: this.reason.trim() } }));
        }
    }
}
