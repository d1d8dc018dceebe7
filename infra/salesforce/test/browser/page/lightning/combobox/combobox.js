/** A stand-in for Salesforce's base component lightning-combobox: a native select with the same property and event names. */
import { LightningElement, api } from 'lwc';

export default class Combobox extends LightningElement {
    @api label;
    @api options = [];
    @api value;

    get choices() {
        return this.options.map((option) => ({ ...option, selected: option.value === this.value }));
    }

    change(event) {
        event.stopPropagation();
        this.value = event.target.value;
        this.dispatchEvent(new CustomEvent('change', { detail: { value: this.value } }));
    }
}
