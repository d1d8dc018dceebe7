/**
 * What this page knows about directives: which are closed, and which is the newest of each supervision. A directive may be withdrawn
 * or replaced while this page waits before a retry; then the retry is skipped.
 */

/** Entries kept. Directives expire after minutes, so the newest are enough. */
const MOST = 200;

export class Ledger {
    closed = new Set();
    replaced = new Set();
    newest = new Map();

    /** Takes in the state of a directive as the service sends it. */
    update(directive) {
        const { directiveId, supervisionId, status } = directive;
        if (status !== undefined && status !== 'OPEN') {
            add(this.closed, directiveId);
        }
        const before = this.newest.get(supervisionId);
        if (before && before.directiveId !== directiveId) {
            // A page that reads everything again may get an older directive after a newer one.
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

    /** Whether the service has closed the directive. It needs no acknowledgement then. */
    isClosed(directiveId) {
        return this.closed.has(directiveId);
    }

    /** Whether the directive should still be carried out, as far as this page knows. */
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
