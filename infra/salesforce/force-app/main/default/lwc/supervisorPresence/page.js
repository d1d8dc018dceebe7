/**
 * What the component takes from its page: timers, and the tab's own storage, which a sandbox may keep from it.
 */
export const TIMERS = {
    // eslint-disable-next-line @lwc/lwc/no-async-operation
    set: (f, ms) => setTimeout(f, ms),
    clear: (timer) => clearTimeout(timer)
};

export function storage() {
    try {
        return window.sessionStorage;
    } catch {
        return null;
    }
}
