/**
 * Leg control: carries out a directive from Sidedoor on the supervisor's own MONITOR contact, and on nothing else.
 *
 * It repeats the service's interlock, because only the browser sees the state of the line at the moment of acting. The leg must be a
 * MONITOR contact, the supervisor's own, connected, and not the supervised contact. A supervisor who has barged in does not leave as
 * one of the last two participants unless an operator has accepted that. The checks run twice, the second time in the same turn of
 * the event loop as the vendor's call, so that nothing can change in between.
 *
 * It never ends any other connection or a contact as a whole. A test searches these files for the names of the calls that could.
 *
 * A back end talks to Amazon Connect: streamsBackend.js (amazon-connect-streams) or contactBackend.js (@amazon-connect/contact).
 * These are plain ES modules, so that they run in a Lightning component, in a test and in any web page.
 */
import { Refusal, refusal } from './interlock';
import { streamsBackend } from './streamsBackend';
import { contactBackend } from './contactBackend';

export { streamsBackend, contactBackend, refusal, Refusal };

/** How long a leg may take to appear in the CCP or to be seen as ended. */
const PATIENCE_MS = 5000;
const LOOK_EVERY_MS = 50;
/** The service accepts at most this many characters of detail. */
const DETAIL = 500;

const MODES = { SILENT: 'SILENT_MONITOR', BARGE: 'BARGE' };

export class LegControl {
    /**
     * @param {object} backend streamsBackend(…) or contactBackend(…)
     * @param {object} [options] now(): the service's time in ms, as far as known; wait(ms): a timer; patienceMs
     */
    constructor(backend, { now = () => Date.now(), wait = pause, patienceMs = PATIENCE_MS } = {}) {
        this.backend = backend;
        this.now = now;
        this.wait = wait;
        this.patienceMs = patienceMs;
    }

    /**
     * Carries out a directive if the interlock allows it. Returns the result in the terms of an acknowledgement.
     *
     * DONE means that the leg was seen connected and was then ended (or its mode changed). This is what the browser saw; the proof is
     * the vendor's evidence.
     *
     * @param {object} directive a SupervisorDirective, or the nextAction of a supervision
     * @param {object} [options] stillWanted(): whether the directive still applies, checked each time the interlock is
     * @returns {Promise<{outcome: string, at: string, detail: string|undefined, reason: string|undefined}>}
     */
    async execute(directive, { stillWanted = () => true } = {}) {
        const check = (seen) => {
            const refused = refusal(directive, seen, this.now()) || (stillWanted() ? null : 'not_open');
            if (refused) {
                throw new Refusal(refused);
            }
        };
        try {
            check(null);
            const seen = await this.settled(directive);
            if (!seen.found) {
                return seen.known
                    ? this.answer('ALREADY_GONE')
                    : this.answer('REFUSED', 'unknown_contact', 'no such contact in this CCP');
            }
            if (seen.ended) {
                // An ended contact of the customer is refused like a connected one, because it is not a supervisor's leg.
                if (!seen.monitor) {
                    throw new Refusal('not_a_monitor_leg');
                }
                await this.clear(directive);
                return this.answer('ALREADY_GONE');
            }
            return directive.kind === 'END_LEG_IN_CCP' ? await this.end(directive, check) : await this.change(directive, check);
        } catch (e) {
            if (e instanceof Refusal) {
                return this.answer('REFUSED', e.reason, e.reason);
            }
            return this.answer('FAILED', undefined, describe(e));
        }
    }

    /** Waits for a leg that this CCP has never shown, because MonitorContact can answer before the CCP shows the contact. */
    async settled(directive) {
        const until = Date.now() + this.patienceMs;
        let seen = await this.backend.look(directive.legContactId);
        while (!seen.found && !seen.known && Date.now() < until) {
            await this.wait(LOOK_EVERY_MS);
            seen = await this.backend.look(directive.legContactId);
        }
        return seen;
    }

    async end(directive, check) {
        const leg = directive.legContactId;
        const went = await this.backend.end(leg, check);
        if (went === 'gone') {
            return this.answer('ALREADY_GONE');
        }
        if (!(await this.until(leg, (seen) => !seen.found || seen.ended))) {
            return this.answer('FAILED', undefined, 'the CCP accepted the request, but the leg is still connected');
        }
        const detail = await this.clear(directive);
        return this.answer('DONE', undefined, detail);
    }

    async change(directive, check) {
        const mode = MODES[directive.mode];
        const went = await this.backend.changeMode(directive.legContactId, mode, check);
        return this.answer(went === 'gone' ? 'ALREADY_GONE' : 'DONE');
    }

    /** Removes the ended leg from the CCP's screen. A failure is reported as detail only, because the leg has ended anyway. */
    async clear(directive) {
        try {
            await this.backend.clear(directive.legContactId);
            return undefined;
        } catch (e) {
            return `could not clear the ended leg: ${describe(e)}`;
        }
    }

    async until(leg, good) {
        const end = Date.now() + this.patienceMs;
        for (;;) {
            if (good(await this.backend.look(leg))) {
                return true;
            }
            if (Date.now() >= end) {
                return false;
            }
            await this.wait(LOOK_EVERY_MS);
        }
    }

    answer(outcome, reason, detail) {
        const at = new Date(Date.now()).toISOString();
        return { outcome, at, reason, detail: detail ? detail.slice(0, DETAIL) : undefined };
    }
}

// The owner of this page's CCP (the component supervisorCcp, or an application's own page) registers its leg control here, so that
// the receiver of directives finds it.
let current = null;
const listeners = new Set();

/** The leg control of this page, or null if the page holds no CCP and therefore cannot act. */
export function currentLegControl() {
    return current;
}

/** Registers the LegControl of this page's CCP, or null when the CCP is gone. */
export function registerLegControl(control) {
    current = control;
    listeners.forEach((listener) => listener(control));
}

/** Calls the listener on every change. Returns a function that removes the listener. */
export function onLegControl(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

/** A short text for an error. The vendors' libraries reject with errors, strings or objects. */
function describe(e) {
    if (e && e.message) {
        return String(e.message).slice(0, DETAIL);
    }
    if (typeof e === 'string') {
        return e.slice(0, DETAIL);
    }
    try {
        return JSON.stringify(e).slice(0, DETAIL);
    } catch {
        return 'unknown error';
    }
}

function pause(ms) {
    // eslint-disable-next-line @lwc/lwc/no-async-operation
    return new Promise((done) => setTimeout(done, ms));
}
