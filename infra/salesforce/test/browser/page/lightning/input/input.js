/**
 * A stand-in for Salesforce's base component lightning-input, as far as the components use it: a native input with its label, in the
 * classes of SLDS, and the same property and event names.
 */
import { LightningElement, api } from 'lwc';

export default class Input extends LightningElement {
    @api label;
    @api type = 'text';
    @api placeholder;
    @api maxLength;
    @api required = false;
    @api value = '';
    @api checked = false;

    get isCheckbox() {
        return this.type === 'checkbox';
    }

    change(event) {
        event.stopPropagation();
        const { value, checked } = event.target;
        this.value = value;
        this.checked = checked;
        this.dispatchEvent(new CustomEvent('change', { detail: this.isCheckbox ? { checked } : { value } }));
    }
}
