/**
 * How the contact id is read from a record: VendorCallKey of a VoiceCall, or the field that the administrator has configured for any
 * other record. The record of a User is an agent, whose call is looked up.
 */
const VOICE_CALL = 'VoiceCall';
const CALL_KEY = 'VoiceCall.VendorCallKey';
const DISPOSITION = ['VoiceCall.CallDisposition'];
const NONE = [];

/**
 * The field to read, qualified with its object, or null if none is configured.
 *
 * @param {string} object API name of the record's object
 * @param {string} field the configured field, with or without its object; may follow a relationship (Call__r.Contact_Id__c)
 */
export function contactField(object, field) {
    const named = String(field || '').trim();
    if (named === '') {
        return isVoiceCall(object) ? CALL_KEY : null;
    }
    if (!object || named.startsWith(`${object}.`)) {
        return named;
    }
    return `${object}.${named}`;
}

/** The agent that a page is about: its record is a User, and no field of it is configured to hold a contact id. */
export function agentOf(object, field, record) {
    return object === 'User' && String(field || '').trim() === '' && record ? record : null;
}

export function isVoiceCall(object) {
    return object === VOICE_CALL;
}

/** The value of that field in a record from getRecord, or undefined if it is empty. */
export function valueOf(record, field) {
    let at = record;
    for (const name of field.split('.').slice(1)) {
        const member = at && at.fields && at.fields[name];
        at = member ? member.value : undefined;
    }
    return typeof at === 'string' && at.trim() !== '' ? at.trim() : undefined;
}

/** The optional fields that say whether the call is over. Always the same arrays, because @wire compares by identity. */
export function dispositionField(object) {
    return isVoiceCall(object) ? DISPOSITION : NONE;
}

/** Whether Salesforce says that the call has ended. Without the field it is not known, so that Listen is offered. */
export function isOver(record, object) {
    return isVoiceCall(object) && String(valueOf(record, DISPOSITION[0])).toLowerCase() === 'completed';
}
