/**
 * Locks that stop two actors from working on the same leg: Web Locks between the tabs of one browser, queues within one page.
 * scv-connector/directive.js uses the same lock names, because it may run in the same browser as these components.
 */

/** Held from the start of a directive until the service has its outcome. */
export const directiveLock = (directiveId) => `sidedoor.directive.${directiveId}`;
/** Held while the CCP is asked to do something with one supervision's leg. */
export const supervisionLock = (supervisionId) => `sidedoor.supervision.${supervisionId}`;

/**
 * Runs `action` if no other tab holds the lock `name`, and returns whether it ran. It always runs in a browser without Web Locks,
 * because there is no way to ask the other tabs.
 */
export async function runIfFree(locks, name, action) {
    if (!locks || typeof locks.request !== 'function') {
        await action();
        return true;
    }
    return locks.request(name, { ifAvailable: true }, async (lock) => {
        if (lock) {
            await action();
        }
        return Boolean(lock);
    });
}

/** Runs actions with the same key one after the other. A key is forgotten when its last action has ended. */
export class Queues {
    last = new Map();

    run(key, action) {
        const turn = (this.last.get(key) || Promise.resolve()).then(action);
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
