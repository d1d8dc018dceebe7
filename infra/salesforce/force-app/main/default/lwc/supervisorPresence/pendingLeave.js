/**
 * Disconnects that have been pressed and have not been answered. Each is kept over a reload and sent until the service has
 * answered, always with the same key, so the service carries it out once. A disconnect does not grow stale: whoever wanted to
 * leave still does. (A *listen* does grow stale, and is never sent later.)
 */
import { Backoff, problemOf } from 'c/directives';

const NAME = 'sidedoor.disconnect';
/** One for each leg a supervisor may have, and one for all. Beyond that the oldest gives way: it has been tried the longest. */
const MOST = 20;

/** What names a leave: one supervision, or whatever the supervisor listens to. */
const same = (one, other) => Boolean(one.mine) === Boolean(other.mine) && one.supervisionId === other.supervisionId;

export class PendingLeave {
    /**
     * @param {object} parts send({supervisionId | mine, requestKey}); settled(supervision | null, problem | null, unsent | null):
     *   what came of one, or the problem for which it is tried again; storage, timers
     */
    constructor(parts) {
        this.parts = parts;
        this.backoff = new Backoff(parts.backoff);
        this.waiting = this.read();
        this.sending = false;
        this.stopped = false;
    }

    /** The supervisions whose leave is pending. */
    get supervisionIds() {
        return this.waiting.filter((asked) => !asked.mine).map((asked) => asked.supervisionId);
    }

    /** Whether the leave of whatever they listen to is pending: it would end what they begin before it is answered, too. */
    get waitsForMine() {
        return this.waiting.some((asked) => asked.mine);
    }

    /** Asked twice it is one leave. */
    ask(supervisionId) {
        return this.add({ supervisionId });
    }

    /** Likewise, of whatever the supervisor listens to. */
    askMine() {
        return this.add({ mine: true });
    }

    add(wish) {
        if (!this.waiting.some((asked) => same(asked, wish))) {
            this.write([...this.waiting, { ...wish, requestKey: newKey(wish.mine ? 'leave-mine' : 'leave') }].slice(-MOST));
        }
        return this.send();
    }

    /** Sends what is pending, one after the other; harmless when nothing is, or when it is being sent. */
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
                const next = this.waiting.find((asked) => !tried.has(asked));
                if (!next || this.stopped) {
                    break;
                }
                tried.add(next);
                // One that gets no answer holds up no other.
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

    /** Whether it has its answer. */
    async sendOne(asked) {
        try {
            const supervision = await this.parts.send(asked);
            this.answered(asked);
            this.parts.settled(supervision, null, null);
        } catch (e) {
            const problem = problemOf(e);
            if (!problem.final) {
                this.parts.settled(null, null, problem);
                return false;
            }
            this.answered(asked);
            this.parts.settled(null, problem, null);
        }
        return true;
    }

    answered(asked) {
        this.write(this.waiting.filter((one) => one !== asked));
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
        this.waiting = waiting;
        try {
            if (waiting.length > 0) {
                this.parts.storage.setItem(NAME, JSON.stringify(waiting));
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
