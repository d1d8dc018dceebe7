/**
 * Who is at it: of several tabs of one browser one, by Web Locks; in one page one directive of a supervision after the other.
 * The names of the locks are agreed with scv-connector/directive.js, which may run beside these components.
 */

/** Held from the beginning of a directive until its outcome is known to the service. */
export const directiveLock = (directiveId) => `sidedoor.directive.${directiveId}`;
/** Held while anything is asked of the CCP about one supervision's leg. */
export const supervisionLock = (supervisionId) => `sidedoor.supervision.${supervisionId}`;

/** Runs it if nobody holds the name, and says whether it ran. Without Web Locks there is nobody to ask. */
export async function runIfFree(locks, name, what) {
    if (!locks || typeof locks.request !== 'function') {
        await what();
        return true;
    }
    return locks.request(name, { ifAvailable: true }, async (lock) => {
        if (lock) {
            await what();
        }
        return Boolean(lock);
    });
}

/** One after the other for each key; what has ended leaves nothing behind. */
export class Queues {
    last = new Map();

    run(key, what) {
        const turn = (this.last.get(key) || Promise.resolve()).then(what);
        const settled = turn.catch(() => {});
        this.last.set(key, settled);
        settled.then(() => {
            if (this.last.get(key) === settled) {
                this.last.delete(key);
            }
        });
        return turn;
    }
}
