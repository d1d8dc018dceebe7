/**
 * Has directives carried out and acknowledges them: once in this browser, one of a supervision after the other, the newest only,
 * and with an outcome that is kept before it is told.
 */
import { alone, ofDirective, ofSupervision, Queues } from './alone';
import { Backoff } from './backoff';
import { Ledger } from './ledger';
import { problemOf } from './problems';

/** Tries of one directive that the CCP failed to carry out. A refusal is not tried again: it stands. */
const ATTEMPTS = 3;
/** Tries of one acknowledgement: with the bound of the back-off about two hours. */
const TRIES = 250;

export class Carrier {
    /**
     * @param {object} parts of the receiver: apex, legControl, changed, locks, timers, backoff; also memory(): what this tab
     *   remembers; clock; learnClock(): asks the service what time it is, if nobody knows; fresh(): has the newest told before
     *   another try; again(): has told later what is still open; stopped()
     */
    constructor(parts) {
        this.parts = parts;
        this.ledger = new Ledger();
        this.queues = new Queues();
        this.underWay = new Set();
    }

    /** Carries one out: once in this browser. */
    async carryOut(directive) {
        const { directiveId: id, supervisionId } = directive;
        const { locks } = this.parts;
        if (this.underWay.has(id)) {
            return;
        }
        this.underWay.add(id);
        let elsewhere;
        try {
            const held = await alone(locks, ofDirective(id), async () => {
                let outcome = this.parts.memory().outcomeOf(id);
                if (!outcome) {
                    const act = async () => {
                        outcome = await this.done(directive);
                    };
                    elsewhere = !(await this.queues.run(supervisionId, () => alone(locks, ofSupervision(supervisionId), act)));
                }
                if (outcome) {
                    await this.acknowledge(outcome);
                }
            });
            elsewhere = elsewhere || !held;
        } finally {
            this.underWay.delete(id);
        }
        if (elsewhere) {
            // Another tab is at it. Should that come to nothing, this one must not have forgotten it.
            this.parts.again(directive);
        }
    }

    /** What came of it, kept; null if nothing was done and nobody is to be told. */
    async done(directive) {
        const control = this.parts.legControl();
        if (!control || this.parts.stopped()) {
            return null;
        }
        await this.parts.learnClock();
        // Whether it has expired is a matter of the service's clock.
        control.now = () => this.parts.clock.now();
        const answer = await this.obeyed(control, directive);
        if (!answer) {
            return null;
        }
        if (answer.outcome === 'REFUSED' && answer.reason === 'join_timeout' && !this.parts.clock.known) {
            // This computer's clock says so, and the service had just called it open.
            this.parts.again(directive);
            return null;
        }
        const { outcome, at, detail, reason } = answer;
        const kept = { directiveId: directive.directiveId, supervisionId: directive.supervisionId, outcome, at, detail };
        this.parts.memory().keep(kept);
        this.parts.changed({ name: 'carriedOut', directive, outcome, detail, reason });
        return kept;
    }

    async obeyed(control, directive) {
        const id = directive.directiveId;
        const stillGood = () => this.ledger.isGood(id);
        const backoff = new Backoff(this.parts.backoff);
        for (let attempt = 1; ; attempt += 1) {
            if (this.ledger.isClosed(id)) {
                return null;
            }
            if (!stillGood()) {
                return { outcome: 'REFUSED', at: new Date().toISOString(), reason: 'not_open', detail: 'not_open' };
            }
            const answer = await control.obey(directive, { stillGood });
            if (answer.outcome === 'REFUSED' && this.ledger.isClosed(id)) {
                return null;
            }
            if (answer.outcome !== 'FAILED' || attempt >= ATTEMPTS || this.parts.stopped()) {
                return answer;
            }
            const wait = backoff.next();
            await new Promise((done) => this.parts.timers.set(done, wait));
            await this.parts.fresh();
        }
    }

    /** Tells the service, until it has it or will never take it. The key makes a repeat the same request. */
    async acknowledge({ directiveId, supervisionId, outcome, at, detail }) {
        const backoff = new Backoff(this.parts.backoff);
        const requestKey = `ack-${directiveId}-${outcome}`;
        for (let tries = 0; tries < TRIES && !this.parts.stopped(); tries += 1) {
            try {
                const supervision = await this.parts.apex.acknowledge({
                    supervisionId,
                    directiveId,
                    outcome,
                    at,
                    detail: detail || null,
                    requestKey
                });
                this.parts.memory().acknowledged(directiveId);
                this.parts.changed({ name: 'acknowledged', supervision });
                return;
            } catch (e) {
                const problem = problemOf(e);
                if (problem.final) {
                    // The service knows no such directive (any more): to repeat would change nothing.
                    this.parts.memory().acknowledged(directiveId);
                    this.parts.changed({ name: 'notTaken', problem });
                    return;
                }
                const wait = backoff.next();
                await new Promise((done) => this.parts.timers.set(done, wait));
            }
        }
    }
}
