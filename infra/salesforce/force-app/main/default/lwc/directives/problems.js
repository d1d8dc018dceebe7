/**
 * Errors as they reach a Lightning component. SidedoorController throws an AuraHandledException whose message is the service's
 * problem as JSON: `{code, title, detail, status, …}`. Any other error comes from the platform or the network, so that it is not known
 * whether the request arrived.
 */

/** A failure of a request to Sidedoor. */
export class Problem extends Error {
    constructor({ code, title, detail, status, current, contacts, retryAfterMs }) {
        super(detail || title || code || 'the request failed');
        this.name = 'Problem';
        /** A stable error code (docs/errors.md), or null if the error did not come from Sidedoor or its Apex client. */
        this.code = code || null;
        this.title = title || null;
        this.status = Number.isInteger(status) ? status : 0;
        /** The supervisor's own supervision that is in the way, if the service names it: {supervisionId, contactId, channel, state}. */
        this.current = current || null;
        /** The live contacts of an agent to choose from: [{contactId, channel, queueId, connectedAt}]. */
        this.contacts = Array.isArray(contacts) ? contacts : null;
        /** After how many milliseconds a retry may succeed, if the service knows. */
        this.retryAfterMs = Number.isFinite(retryAfterMs) ? retryAfterMs : null;
    }

    /** Whether the service has answered and would give the same answer again, so that a retry is useless. */
    get final() {
        if (this.code === null || this.code === 'idempotency_key_conflict' || this.status === 408 || this.status === 429) {
            return false;
        }
        return this.status >= 400 && this.status < 500;
    }

    /** Whether it is unknown if the request arrived. */
    get unanswered() {
        return this.code === null || this.status === 0;
    }
}

/** Turns the error of an Apex call (or of fetch) into a Problem. */
export function problemOf(e) {
    if (e instanceof Problem) {
        return e;
    }
    const message = messageOf(e);
    try {
        const read = JSON.parse(message);
        if (read && typeof read === 'object' && typeof read.code === 'string') {
            return new Problem(read);
        }
    } catch {
        // Not JSON, so not from the service: the message is shown as it is.
    }
    return new Problem({ detail: message });
}

function messageOf(e) {
    if (!e) {
        return 'the request failed';
    }
    const body = Array.isArray(e.body) ? e.body[0] : e.body;
    return String((body && body.message) || e.message || e.statusText || e);
}
