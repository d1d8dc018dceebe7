/**
 * What this tab remembers across a reload: the last event it received, and the outcomes of the directives it carried out, so that
 * a directive whose acknowledgement was lost is acknowledged again and not carried out again.
 *
 * It is kept in sessionStorage, which belongs to one tab. Without it (a sandbox, private browsing) it lasts as long as the page.
 */

/** Outcomes kept. Directives expire after minutes, so the newest are enough. */
const MOST = 50;

export class Memory {
    /**
     * @param {Storage|null} storage
     * @param {string} whose the supervisor's Connect user id, so that another user of this tab starts with an empty memory
     */
    constructor(storage, whose) {
        this.storage = storage;
        this.whose = whose;
        this.name = `sidedoor.directives.${whose}`;
        const read = this.read();
        this.after = typeof read.after === 'string' ? read.after : null;
        this.done = Array.isArray(read.done) ? read.done.slice(-MOST) : [];
    }

    /** Moves this memory to a user's own, for a page that has only now received the user's id. */
    as(storage, whose) {
        const next = new Memory(storage, whose);
        this.done.forEach((one) => next.store(one));
        next.advance(this.after);
        return next;
    }

    /** Stores the id of the last event received. */
    advance(after) {
        if (after && after !== this.after) {
            this.after = after;
            this.write();
        }
    }

    /** The outcome of a directive that this tab carried out, or null. */
    outcomeOf(directiveId) {
        return this.done.find((one) => one.directiveId === directiveId) || null;
    }

    /** Stores an outcome. To be called before it is sent, so that a reload cannot lose it. */
    store(outcome) {
        this.done = [...this.done.filter((one) => one.directiveId !== outcome.directiveId), outcome].slice(-MOST);
        this.write();
    }

    acknowledged(directiveId) {
        const one = this.outcomeOf(directiveId);
        if (one) {
            this.store({ ...one, acknowledged: true });
        }
    }

    unacknowledged() {
        return this.done.filter((one) => !one.acknowledged);
    }

    read() {
        try {
            return JSON.parse(this.storage.getItem(this.name)) || {};
        } catch {
            return {};
        }
    }

    write() {
        try {
            this.storage.setItem(this.name, JSON.stringify({ after: this.after, done: this.done }));
        } catch {
            // The storage is full or not allowed. This page still has the outcomes in memory.
        }
    }
}
