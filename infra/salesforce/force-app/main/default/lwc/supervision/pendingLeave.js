/**
 * Disconnects that the user has requested and the service has not answered. They survive a reload, and each is retried with the same
 * idempotency key until it is answered, so that the service carries it out once. Several components of a page may keep some: each
 * changes only its own entries of the page's storage. Retrying late is safe, because a supervisor who
 * wanted to leave still does. (A request to listen is never sent later, because the supervisor may no longer want it.)
 */
import { Backoff, problemOf } from 'c/directives';

const NAME = 'sidedoor.disconnect';
/** The most that are kept. The oldest is dropped first, because it has been retried the longest. */
const MOST = 20;

/** A request names one supervision, or (`mine`) the supervision that the supervisor is on, whichever it is. */
const same = (one, other) => Boolean(one.mine) === Boolean(other.mine) && one.supervisionId === other.supervisionId;

export class PendingLeave {
    /**
     * @param {object} parts send({supervisionId | mine, requestKey}); settled(supervision | null, problem | null, unsent | null,
     *   request): the answer to one, or its final problem, or the problem because of which it is retried; storage, timers
     */
    constructor(parts) {
        this.parts = parts;
        this.backoff = new Backoff(parts.backoff);
        this.waiting = this.read();
        this.sending = false;
        this.stopped = false;
    }

    /** The supervisions whose disconnect is pending. */
    get supervisionIds() {
        return this.waiting.filter((request) => !request.mine).map((request) => request.supervisionId);
    }

    /** Whether a disconnect with `mine` is pending. It would also end a supervision that starts before it is answered. */
    get waitsForMine() {
        return this.waiting.some((request) => request.mine);
    }

    /** Requests to leave a supervision. A second call while the first is pending adds nothing. */
    request(supervisionId) {
        return this.add({ supervisionId });
    }

    /** Requests to leave whichever supervision the supervisor is on. */
    requestMine() {
        return this.add({ mine: true });
    }

    add(wanted) {
        if (!this.waiting.some((request) => same(request, wanted))) {
            this.write([...this.waiting, { ...wanted, requestKey: newKey(wanted.mine ? 'leave-mine' : 'leave') }].slice(-MOST));
        }
        return this.send();
    }

    /** Sends what is pending, one after the other. Does nothing if nothing is pending or a call is already sending. */
    async send() {
        if (this.sending || this.stopped) {
            return;
        }
        this.sending = true;
        this.parts.timers.clear(this.timer);
        const tried = new Set();
        let unanswered = false;
        try {
            for (;;) {
                const next = this.waiting.find((request) => !tried.has(request));
                if (!next || this.stopped) {
                    break;
                }
                tried.add(next);
                // A request without an answer does not delay the others.
                unanswered = !(await this.sendOne(next)) || unanswered;
            }
        } finally {
            this.sending = false;
        }
        if (unanswered && !this.stopped) {
            this.timer = this.parts.timers.set(() => this.send(), this.backoff.next());
        } else {
            this.backoff.reset();
        }
    }

    /** Sends one request and returns whether it has been answered. */
    async sendOne(request) {
        try {
            const supervision = await this.parts.send(request);
            this.answered(request);
            this.parts.settled(supervision, null, null, request);
        } catch (e) {
            const problem = problemOf(e);
            if (!problem.final) {
                this.parts.settled(null, null, problem, request);
                return false;
            }
            this.answered(request);
            this.parts.settled(null, problem, null, request);
        }
        return true;
    }

    answered(request) {
        this.write(this.waiting.filter((one) => one !== request));
    }

    stop() {
        this.stopped = true;
        this.parts.timers.clear(this.timer);
    }

    read() {
        try {
            const read = JSON.parse(this.parts.storage.getItem(NAME));
            const good = (one) => one && typeof one.requestKey === 'string' && (one.mine === true || typeof one.supervisionId === 'string');
            return Array.isArray(read) ? read.filter(good).slice(-MOST) : [];
        } catch {
            return [];
        }
    }

    write(waiting) {
        const known = new Set([...this.waiting, ...waiting].map(({ requestKey }) => requestKey));
        const others = this.read().filter(({ requestKey }) => !known.has(requestKey));
        this.waiting = waiting;
        const kept = [...others, ...waiting].slice(-MOST);
        try {
            if (kept.length > 0) {
                this.parts.storage.setItem(NAME, JSON.stringify(kept));
            } else {
                this.parts.storage.removeItem(NAME);
            }
        } catch {
            // Without storage the requests are kept only until the page is closed.
        }
    }
}

/** A new idempotency key. */
export function newKey(what) {
    const random =
        typeof crypto !== 'undefined' && crypto.randomUUID
            ? crypto.randomUUID()
            : `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
    return `${what}-${random}`;
}
