/**
 * What this page has heard of directives: which are closed, and which is the newest of each supervision. A directive may be
 * withdrawn, or replaced by another, while this page waits to try it again; then it is not tried. Bounded.
 */

/** A directive is good for minutes, so the newest are enough. */
const MOST = 200;

export class Ledger {
    closed = new Set();
    replaced = new Set();
    newest = new Map();

    /** Takes in a directive as the service tells it. */
    heard(directive) {
        const { directiveId, supervisionId, status } = directive;
        if (status !== undefined && status !== 'OPEN') {
            add(this.closed, directiveId);
        }
        const before = this.newest.get(supervisionId);
        if (before && before.directiveId !== directiveId) {
            // Told again from the start, an old one may come after a new one.
            if (this.replaced.has(directiveId) || issued(directive) < issued(before)) {
                add(this.replaced, directiveId);
                return;
            }
            add(this.replaced, before.directiveId);
        }
        this.newest.delete(supervisionId);
        this.newest.set(supervisionId, { directiveId, issuedAt: directive.issuedAt });
        if (this.newest.size > MOST) {
            this.newest.delete(this.newest.keys().next().value);
        }
    }

    /** Whether the service has closed it: then no answer is wanted any more. */
    isClosed(directiveId) {
        return this.closed.has(directiveId);
    }

    /** Whether it may still be carried out, as far as this page has heard. */
    isWanted(directiveId) {
        return !this.closed.has(directiveId) && !this.replaced.has(directiveId);
    }
}

function issued({ issuedAt }) {
    const at = Date.parse(issuedAt);
    return Number.isFinite(at) ? at : 0;
}

function add(set, id) {
    set.delete(id);
    set.add(id);
    if (set.size > MOST) {
        set.delete(set.values().next().value);
    }
}
