/**
 * What this page calls itself when it asks for directives and can act: the service has only the newest of a supervisor's pages act.
 * It is of this page alone: a reload, or another tab, is another page, and newer.
 */
function random() {
    if (typeof crypto !== 'undefined' && crypto.randomUUID) {
        return crypto.randomUUID();
    }
    const part = () => Math.random().toString(36).slice(2);
    return `${Date.now().toString(36)}-${part()}${part()}`;
}

/** Of letters, digits and hyphens, no more than 64: as the service takes it. */
export const TAB = random().slice(0, 64);
