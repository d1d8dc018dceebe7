/**
 * Carries directives out and acknowledges them. A directive is carried out once in this browser; directives of one supervision run
 * one after the other, and only the newest is carried out. The outcome is stored before it is sent, so that a reload repeats the
 * acknowledgement and not the action.
 */
import { directiveLock, Queues, runIfFree, supervisionLock } from './locks';
import { Backoff } from './backoff';
import { Ledger } from './ledger';
import { problemOf } from './problems';

/** Attempts for one directive that the CCP failed to carry out. A refusal is final, so it is not retried. */
const ATTEMPTS = 3;
/** Attempts for one acknowledgement: about two hours with the largest wait of `Backoff`. */
const TRIES = 250;

export class DirectiveExecutor {
    /**
     * @param {object} parts the receiver's parts (apex, legControl, onEvent, locks, timers, backoff) and memory(): what this tab
     *   remembers; clock: the service's time; learnClock(): asks the service for its time if it is not known; fetchNewest(): reads
     *   the current directives before another attempt; readAgainLater(directive): reads the open directives again after a few
     *   seconds; stopped(): whether the receiver has been stopped
     */
    constructor(parts) {
        this.parts = parts;
        this.ledger = new Ledger();
        this.queues = new Queues();
        this.inFlight = new Set();
    }

    /** Carries a directive out, once in this browser. */
    async carryOut(directive) {
        const { directiveId: id, supervisionId } = directive;
        const { locks } = this.parts;
        if (this.inFlight.has(id)) {
            return;
        }
        this.inFlight.add(id);
        let elsewhere;
        try {
            const held = await runIfFree(locks, directiveLock(id), async () => {
                let outcome = this.parts.memory().outcomeOf(id);
                if (!outcome) {
                    const act = async () => {
                        outcome = await this.executeAndStore(directive);
                    };
                    elsewhere = !(await this.queues.run(supervisionId, () => runIfFree(locks, supervisionLock(supervisionId), act)));
                }
                if (outcome) {
                    await this.acknowledge(outcome);
                }
            });
            elsewhere = elsewhere || !held;
        } finally {
            this.inFlight.delete(id);
        }
        if (elsewhere) {
            // Another tab is carrying it out. This tab asks again later, because the other one may be closed before it is done.
            this.parts.readAgainLater(directive);
        }
    }

    /** Carries a directive out and stores the outcome. Null if nothing was done, so that there is nothing to acknowledge. */
    async executeAndStore(directive) {
        const control = this.parts.legControl();
        if (!control || this.parts.stopped()) {
            return null;
        }
        await this.parts.learnClock();
        // Expiry is judged by the service's clock, because this computer's clock may be wrong by minutes.
        control.now = () => this.parts.clock.now();
        const answer = await this.executeWithRetries(control, directive);
        if (!answer) {
            return null;
        }
        if (answer.outcome === 'REFUSED' && answer.reason === 'expired' && !this.parts.clock.known) {
            // Only this computer's clock says that it has expired, while the service has just sent it as open.
            this.parts.readAgainLater(directive);
            return null;
        }
        const { outcome, at, detail, reason } = answer;
        const stored = { directiveId: directive.directiveId, supervisionId: directive.supervisionId, outcome, at, detail };
        this.parts.memory().store(stored);
        this.parts.onEvent({ name: 'carriedOut', directive, outcome, detail, reason });
        return stored;
    }

    async executeWithRetries(control, directive) {
        const id = directive.directiveId;
        const stillWanted = () => this.ledger.isWanted(id);
        const backoff = new Backoff(this.parts.backoff);
        for (let attempt = 1; ; attempt += 1) {
            if (this.ledger.isClosed(id)) {
                return null;
            }
            if (!stillWanted()) {
                return { outcome: 'REFUSED', at: new Date().toISOString(), reason: 'not_open', detail: 'not_open' };
            }
            const answer = await control.execute(directive, { stillWanted });
            if (answer.outcome === 'REFUSED' && this.ledger.isClosed(id)) {
                return null;
            }
            if (answer.outcome !== 'FAILED' || attempt >= ATTEMPTS || this.parts.stopped()) {
                return answer;
            }
            const wait = backoff.next();
            await new Promise((done) => this.parts.timers.set(done, wait));
            await this.parts.fetchNewest();
        }
    }

    /** Sends the outcome until the service has accepted or finally rejected it. The idempotency key makes a retry the same request. */
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
                this.parts.onEvent({ name: 'acknowledged', supervision });
                return;
            } catch (e) {
                const problem = problemOf(e);
                if (problem.final) {
                    // The service no longer has this directive, so a retry would get the same answer.
                    this.parts.memory().acknowledged(directiveId);
                    this.parts.onEvent({ name: 'acknowledgementRejected', problem });
                    return;
                }
                const wait = backoff.next();
                await new Promise((done) => this.parts.timers.set(done, wait));
            }
        }
    }
}
