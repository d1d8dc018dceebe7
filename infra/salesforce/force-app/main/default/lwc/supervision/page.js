/**
 * What the components use from their page: timers, and the tab's sessionStorage, which a sandbox may forbid.
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
