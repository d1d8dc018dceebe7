/**
 * The browser's half of the interlock, pure: what speaks against carrying a directive out, in one word.
 */

/** Thrown by a check; `reason` is the word. */
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
 * @param {object|null} seen what a back end saw of the leg (see streamsBackend.js), or null to judge the directive alone
 * @param {number} now the service's time in ms, as well as known
 * @returns {string|null} why not, or null
 */
export function refusal(directive, seen, now) {
    const ofItself = ofTheDirective(directive, now);
    if (ofItself || !seen) {
        return ofItself;
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
    const leavesTheLine = directive.kind === 'END_LEG_IN_CCP' || directive.mode === 'SILENT';
    // One who has barged in, or may have, is a party to the call; so are the others, but for those who only monitor. With fewer than two others left, to leave (or to fall silent, which
    // Connect does not allow then) would leave the customer alone: the call would end.
    if (leavesTheLine && seen.barged && seen.others < 2 && directive.customerCallMayEnd !== true) {
        return 'agent_gone';
    }
    return null;
}

function ofTheDirective(directive, now) {
    if (!directive || typeof directive.legContactId !== 'string' || directive.legContactId === '') {
        return 'unreadable_directive';
    }
    // Without it nobody could tell that the leg is not the customer's own contact.
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
    return now >= expires ? 'join_timeout' : null;
}

/** Ids are compared as Connect's ids are: their case says nothing. */
function same(leg, contact) {
    return leg.trim().toLowerCase() === contact.trim().toLowerCase();
}
