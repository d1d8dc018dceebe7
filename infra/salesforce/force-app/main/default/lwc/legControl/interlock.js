/**
 * The browser's half of the interlock: pure functions that return why a directive must not be carried out, as a code.
 */

/** Thrown when a check fails; `reason` is the code. */
export class Refusal extends Error {
    constructor(reason) {
        super(reason);
        this.name = 'Refusal';
        this.reason = reason;
    }
}

const KINDS = ['END_LEG_IN_CCP', 'CHANGE_MODE_IN_CCP'];

/**
 * @param {object} directive
 * @param {object|null} seen what a back end saw of the leg (see streamsBackend.js), or null to check the directive alone
 * @param {number} now the service's time in ms, as far as known
 * @returns {string|null} the code of the reason, or null if the directive may be carried out
 */
export function refusal(directive, seen, now) {
    const invalid = directiveRefusal(directive, now);
    if (invalid || !seen) {
        return invalid;
    }
    if (!seen.found || seen.contactId !== directive.legContactId) {
        return 'unknown_contact';
    }
    if (!seen.monitor) {
        return 'not_a_monitor_leg';
    }
    if (!seen.own) {
        return 'own_connection_unknown';
    }
    const stopsTalking = directive.kind === 'END_LEG_IN_CCP' || directive.mode === 'SILENT';
    // A supervisor who has barged in, or may have, is a participant. With fewer than two other participants (those who only monitor
    // do not count), leaving would leave the customer alone, so that the call would end. Connect does not allow a change to silent
    // then either.
    if (stopsTalking && seen.barged && seen.others < 2 && directive.customerCallMayEnd !== true) {
        return 'agent_gone';
    }
    return null;
}

function directiveRefusal(directive, now) {
    if (!directive || typeof directive.legContactId !== 'string' || directive.legContactId === '') {
        return 'unreadable_directive';
    }
    // Without the contact id there is no way to check that the leg is not the customer's own contact.
    if (typeof directive.contactId !== 'string' || directive.contactId.trim() === '') {
        return 'unreadable_directive';
    }
    if (!KINDS.includes(directive.kind)) {
        return 'unknown_kind';
    }
    if (directive.kind === 'CHANGE_MODE_IN_CCP' && directive.mode !== 'SILENT' && directive.mode !== 'BARGE') {
        return 'unknown_mode';
    }
    if (same(directive.legContactId, directive.contactId)) {
        return 'leg_is_the_supervised_contact';
    }
    if (directive.status !== undefined && directive.status !== 'OPEN') {
        return 'not_open';
    }
    const expires = Date.parse(directive.expiresAt);
    if (!Number.isFinite(expires)) {
        return 'unreadable_directive';
    }
    return now >= expires ? 'expired' : null;
}

/** Compares ids without case, as Connect does. */
function same(leg, contact) {
    return leg.trim().toLowerCase() === contact.trim().toLowerCase();
}
