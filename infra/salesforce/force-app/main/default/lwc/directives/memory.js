/**
 * What this tab remembers of directives over a reload: what it heard last, and what it carried out and with which outcome, so
 * that one whose acknowledgement did not arrive is acknowledged again and not carried out again.
 *
 * In sessionStorage, which is the tab's own. Where there is none (a sandbox, private browsing) it lives as long as the page.
 */

/** Outcomes kept; a directive is good for minutes, so the newest are enough. */
const MOST = 50;

export class Memory {
    /**
     * @param {Storage|null} storage
     * @param {string} whose the supervisor's Connect user id: what another user of this tab did is not ours
     */
    constructor(storage, whose) {
        this.storage = storage;
        this.whose = whose;
        this.name = `sidedoor.directives.${whose}`;
        const read = this.read();
        this.after = typeof read.after === 'string' ? read.after : null;
        this.done = Array.isArray(read.done) ? read.done.slice(-MOST) : [];
    }

    /** The same, as another's: of a page that only now knows whose it is. */
    as(storage, whose) {
        const next = new Memory(storage, whose);
        this.done.forEach((one) => next.keep(one));
        next.heard(this.after);
        return next;
    }

    heard(after) {
        if (after && after !== this.after) {
            this.after = after;
            this.write();
        }
    }

    /** What came of a directive here, if it was carried out. */
    outcomeOf(directiveId) {
        return this.done.find((one) => one.directiveId === directiveId) || null;
    }

    /** Keeps an outcome, before anybody is told. */
    keep(outcome) {
        this.done = [...this.done.filter((one) => one.directiveId !== outcome.directiveId), outcome].slice(-MOST);
        this.write();
    }

    acknowledged(directiveId) {
        const one = this.outcomeOf(directiveId);
        if (one) {
            this.keep({ ...one, acknowledged: true });
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
            // Full or forbidden: the page itself still remembers.
        }
    }
}
