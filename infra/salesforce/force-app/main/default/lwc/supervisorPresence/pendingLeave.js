/**
 * A disconnect that has been pressed and has not been answered. It is kept over a reload and sent until the service has
 * answered, always with the same key, so the service carries it out once. A disconnect does not grow stale: whoever wanted to
 * leave still does. (A *listen* does grow stale, and is never sent later.)
 */
import { Backoff, problemOf } from 'c/directives';

const NAME = 'sidedoor.disconnect';

export class PendingLeave {
    /** @param {object} parts send({supervisionId, requestKey}), settled(supervision | null, problem | null), storage, timers */
    constructor(parts) {
        this.parts = parts;
        this.backoff = new Backoff(parts.backoff);
        this.asked = this.read();
        this.sending = false;
        this.stopped = false;
    }

    /** The supervision whose leave is pending, or null. */
    get supervisionId() {
        return this.asked ? this.asked.supervisionId : null;
    }

    /** Asked twice it is one leave. */
    ask(supervisionId) {
        if (!this.asked || this.asked.supervisionId !== supervisionId) {
            this.write({ supervisionId, requestKey: newKey('leave') });
        }
        return this.send();
    }

    /** Sends what is pending; harmless when nothing is, or when it is being sent. */
    async send() {
        if (!this.asked || this.sending || this.stopped) {
            return;
        }
        this.sending = true;
        this.parts.timers.clear(this.timer);
        const asked = this.asked;
        try {
            const supervision = await this.parts.send(asked);
            this.answered(asked);
            this.backoff.reset();
            this.parts.settled(supervision, null);
        } catch (e) {
            const problem = problemOf(e);
            if (problem.final) {
                this.answered(asked);
                this.parts.settled(null, problem);
            } else {
                this.timer = this.parts.timers.set(() => this.send(), this.backoff.next());
                this.parts.settled(null, null);
            }
        } finally {
            this.sending = false;
        }
        if (this.asked && this.asked !== asked) {
            await this.send();
        }
    }

    /** Clears what was asked, unless something else has been asked since: that one has no answer yet. */
    answered(asked) {
        if (this.asked === asked) {
            this.write(null);
        }
    }

    stop() {
        this.stopped = true;
        this.parts.timers.clear(this.timer);
    }

    read() {
        try {
            const read = JSON.parse(this.parts.storage.getItem(NAME));
            return read && read.supervisionId && read.requestKey ? read : null;
        } catch {
            return null;
        }
    }

    write(asked) {
        this.asked = asked;
        try {
            if (asked) {
                this.parts.storage.setItem(NAME, JSON.stringify(asked));
            } else {
                this.parts.storage.removeItem(NAME);
            }
        } catch {
            // No storage: it lives as long as the page.
        }
    }
}

/** A key for one request. */
export function newKey(what) {
    const random =
        typeof crypto !== 'undefined' && crypto.randomUUID
            ? crypto.randomUUID()
            : `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
    return `${what}-${random}`;
}
