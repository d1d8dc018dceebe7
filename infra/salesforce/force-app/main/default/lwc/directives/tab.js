/**
 * The name that a page which can act gives itself when it polls for directives. The service lets only the newest of a supervisor's
 * pages act. A reload or another tab counts as another, newer page.
 */
function random() {
    if (typeof crypto !== 'undefined' && crypto.randomUUID) {
        return crypto.randomUUID();
    }
    const part = () => Math.random().toString(36).slice(2);
    return `${Date.now().toString(36)}-${part()}${part()}`;
}

/** At most 64 letters, digits and hyphens, which is what the service accepts. */
export const TAB = random().slice(0, 64);
