/**
 * Leg control: carries out one directive of Sidedoor's on the supervisor's own MONITOR contact, and on nothing else.
 *
 * The interlock of the service is repeated here, because only the browser sees what is on the line at the moment of acting:
 * the leg must be a MONITOR contact, the supervisor's own, alive, and not the supervised contact; a supervisor who has barged
 * in does not leave as one of the last two unless an operator has taken that on themselves. It is asked twice, the second
 * time in the same turn of the event loop as the vendor's call, so that nothing can change in between.
 *
 * What it never does: end any connection but the one that is the supervisor's own, or end a contact as a whole. A test reads
 * these files for the names of the calls that could.
 *
 * What talks to Amazon Connect is a back end: streamsBackend.js (amazon-connect-streams) or contactBackend.js
 * (@amazon-connect/contact). Plain ES modules: they run in a Lightning component, in a test, and in any web page.
 */
import { Refusal, refusal } from './interlock';
import { streamsBackend } from './streamsBackend';
import { contactBackend } from './contactBackend';

export { streamsBackend, contactBackend, refusal, Refusal };

/** How long a leg may take to show up in the CCP, or to be seen ended, before we say that it did not. */
const PATIENCE_MS = 5000;
const LOOK_EVERY_MS = 50;
/** The service takes at most so much detail. */
const DETAIL = 500;

const MODES = { SILENT: 'SILENT_MONITOR', BARGE: 'BARGE' };

export class LegControl {
    /**
     * @param {object} backend streamsBackend(…) or contactBackend(…)
     * @param {object} [options] now: the service's time in ms, as well as known; wait: a timer; patienceMs
     */
    constructor(backend, { now = () => Date.now(), wait = pause, patienceMs = PATIENCE_MS } = {}) {
        this.backend = backend;
        this.now = now;
        this.wait = wait;
        this.patienceMs = patienceMs;
    }

    /**
     * Does what a directive says, if that is right, and says how it went, in the words of an acknowledgement.
     *
     * DONE: the leg was seen alive and was ended (or its mode changed). That is the browser's word, not the vendor's proof.
     *
     * @param {object} directive a SupervisorDirective, or the nextAction of a supervision
     * @param {object} [asked] stillWanted(): whether it is still wanted, asked as often as the interlock is
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
                // An ended contact of the customer's is refused like a living one: it is none of ours.
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

    /** A leg that this CCP has never had may be on its way: MonitorContact can answer before the CCP shows the contact. */
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
            return this.answer('FAILED', undefined, 'the CCP took the order, but the leg is still connected');
        }
        const detail = await this.clear(directive);
        return this.answer('DONE', undefined, detail);
    }

    async change(directive, check) {
        const mode = MODES[directive.mode];
        const went = await this.backend.changeMode(directive.legContactId, mode, check);
        return this.answer(went === 'gone' ? 'ALREADY_GONE' : 'DONE');
    }

    /** Takes the ended leg off the CCP's screen. That it could not be is told, and changes nothing: the leg is gone. */
    async clear(directive) {
        try {
            await this.backend.clear(directive.legContactId);
            return undefined;
        } catch (e) {
            return `the ended leg could not be cleared: ${describe(e)}`;
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

// Whoever holds the CCP of this page (the component supervisorCcp, or an application's own page) says so here; whoever
// receives directives asks here.
let current = null;
const listeners = new Set();

/** The leg control of this page, or null when the page holds no CCP and cannot act. */
export function currentLegControl() {
    return current;
}

/** Says that this page holds a CCP (a LegControl), or no more (null). */
export function registerLegControl(control) {
    current = control;
    listeners.forEach((heard) => heard(control));
}

/** Tells when that changes; returns how to stop. */
export function onLegControl(heard) {
    listeners.add(heard);
    return () => listeners.delete(heard);
}

/** An error in a few words; vendors fail with errors, strings or objects. */
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
        return 'an error that says nothing';
    }
}

function pause(ms) {
    // eslint-disable-next-line @lwc/lwc/no-async-operation
    return new Promise((done) => setTimeout(done, ms));
}
