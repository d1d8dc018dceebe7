/**
 * Where a record says which contact it is about: a VoiceCall by its VendorCallKey, any other record by the field that the page's
 * administrator names. A User is an agent, whose call is looked for.
 */
const VOICE_CALL = 'VoiceCall';
const CALL_KEY = 'VoiceCall.VendorCallKey';

/**
 * The field to read, with its object, or null if nothing says which.
 *
 * @param {string} object API name of the record's object
 * @param {string} field the named field, with or without its object; may go over a relationship (Call__r.Contact_Id__c)
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

/** The agent whom a page is about: its record is that of a User, and no field of it is said to name a contact. */
export function agentOf(object, field, record) {
    return object === 'User' && String(field || '').trim() === '' && record ? record : null;
}

export function isVoiceCall(object) {
    return object === VOICE_CALL;
}

/** What stands in that field of a record as getRecord gives it; undefined if it is empty. */
export function valueOf(record, field) {
    let at = record;
    for (const name of field.split('.').slice(1)) {
        const member = at && at.fields && at.fields[name];
        at = member ? member.value : undefined;
    }
    return typeof at === 'string' && at.trim() !== '' ? at.trim() : undefined;
}
