/**
 * Errors as they reach a Lightning component. SidedoorController throws an AuraHandledException whose message is JSON of the
 * service's problem `{code, title, detail, status}`; anything else is the platform's or the network's, and then nobody knows
 * whether the request arrived.
 */

/** A failure of a request to Sidedoor. */
export class Problem extends Error {
    constructor({ code, title, detail, status }) {
        super(detail || title || code || 'the request failed');
        this.name = 'Problem';
        /** The service's stable word, or null when the answer is not the service's. */
        this.code = code || null;
        this.title = title || null;
        this.status = Number.isInteger(status) ? status : 0;
    }

    /** Whether the service itself has answered, and will answer the same again. */
    get final() {
        if (this.code === null || this.code === 'idempotency_key_conflict' || this.status === 408 || this.status === 429) {
            return false;
        }
        return this.status >= 400 && this.status < 500;
    }

    /** Whether nobody knows if the request arrived. */
    get unanswered() {
        return this.code === null || this.status === 0;
    }
}

/** Reads whatever a call of Apex (or of fetch) was rejected with. */
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
        // Not the service's: told as it is.
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
