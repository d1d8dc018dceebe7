/**
 * Receives the directives of the supervisor of this page, has them carried out, and acknowledges them.
 *
 * They come by server-sent events, by a Platform Event that says "something changed" (then they are fetched), or by asking from
 * time to time. However they come:
 * - this page acts only where the service says so (`act`), where it holds a CCP, and where no other tab of this browser is at
 *   the same directive (Web Locks); the service decides between browsers;
 * - an outcome is kept before it is told, so a reload acknowledges again and does not carry out again;
 * - an acknowledgement is tried until the service has it, ever more slowly.
 */
import { Backoff } from './backoff';
import { Memory } from './memory';
import { Problem, problemOf } from './problems';
import { ServiceClock } from './clock';
import { Stream } from './stream';

export { Backoff, Memory, Problem, problemOf, ServiceClock };

/** How often to ask at the most, whatever is configured. */
const LEAST_POLL_S = 2;
/** Idle pages ask this many times less often. */
const IDLE = 6;
/** Tries of one directive that the CCP failed to carry out. A refusal is not tried again: it stands. */
const ATTEMPTS = 3;
/** Tries of one acknowledgement: with the bound of the back-off about two hours. */
const TRIES = 250;

export class DirectiveReceiver {
    /**
     * @param {object} parts
     * @param {object} parts.apex directivesAfter({after, acts}), acknowledge({…}), streamTicket(): SidedoorController's
     * @param {object} parts.settings SidedoorController.settings(): deliveryMode, eventChannel, streamUrl, pollSeconds
     * @param {Function} parts.legControl gives the page's LegControl, or null
     * @param {Function} [parts.changed] called with what was heard: {name, directive}
     * @param {object} [parts.empApi] lightning/empApi
     */
    constructor(parts) {
        const page = typeof window === 'undefined' ? {} : window;
        this.parts = {
            changed: () => {},
            storage: storageOf(page),
            locks: page.navigator && page.navigator.locks,
            EventSource: page.EventSource,
            // eslint-disable-next-line @lwc/lwc/no-async-operation
            timers: { set: (f, ms) => setTimeout(f, ms), clear: (t) => clearTimeout(t) },
            backoff: {},
            ...parts
        };
        this.clock = parts.clock || new ServiceClock();
        this.memory = new Memory(null, '');
        this.underWay = new Set();
        this.streamKey = null;
        /** Who the supervisor is to Connect, once a ticket has said so. */
        this.connectUserId = null;
        this.next = null;
        this.pulling = false;
        this.again = false;
        this.busy = false;
        this.stopped = true;
    }

    /** Begins. What was carried out before a reload and not acknowledged is acknowledged now. */
    async start() {
        this.stopped = false;
        const { settings } = this.parts;
        try {
            const { connectUserId } = await this.ticket();
            this.memory = new Memory(this.parts.storage, connectUserId);
        } catch {
            // Without a ticket: no stream, the browser's own clock, and a memory of this page only.
            this.memory = new Memory(this.parts.storage, 'me');
        }
        if (this.stopped) {
            return;
        }
        for (const outcome of this.memory.unacknowledged()) {
            this.acknowledge(outcome);
        }
        if (settings.deliveryMode === 'SSE' && settings.streamUrl && this.parts.EventSource) {
            this.stream = new Stream({
                url: settings.streamUrl,
                ticket: () => this.ticket(),
                after: () => this.memory.after,
                acts: () => this.acts(),
                heard: (name, directive) => this.heard(name, directive),
                changed: (open) => this.streamChanged(open),
                EventSource: this.parts.EventSource,
                timers: this.parts.timers,
                backoff: this.parts.backoff
            });
            this.stream.start();
            this.pollLater();
            return;
        }
        if (settings.deliveryMode === 'EMP_API' && this.parts.empApi) {
            this.listenToEvents(settings.eventChannel);
        }
        this.pull();
        this.pollLater();
    }

    stop() {
        this.stopped = true;
        this.parts.timers.clear(this.poll);
        if (this.stream) {
            this.stream.stop();
        }
        if (this.subscription) {
            this.parts.empApi.unsubscribe(this.subscription, () => {});
            this.subscription = null;
        }
    }

    /** Whether this page can act. */
    acts() {
        return Boolean(this.parts.legControl());
    }

    /** Says that this page can act now, or no more. */
    controlChanged() {
        if (this.stopped) {
            return;
        }
        // What is open is told anew to one that can act.
        if (this.stream) {
            this.stream.restart();
            return;
        }
        this.next = null;
        this.pull();
    }

    /** Says whether the supervisor listens to anything now: then the page asks more often. */
    setBusy(busy) {
        if (busy !== this.busy) {
            this.busy = busy;
            this.parts.timers.clear(this.poll);
            this.pollLater();
        }
    }

    async ticket() {
        const asked = Date.now();
        const ticket = await this.parts.apex.streamTicket();
        this.clock.learn(ticket.expiresAt, asked, Date.now());
        this.connectUserId = ticket.connectUserId;
        return ticket;
    }

    streamChanged(open) {
        this.parts.changed({ name: 'stream', open });
        if (!open) {
            // Until the stream is back, asking tells the same.
            this.pull();
        }
    }

    listenToEvents(channel) {
        const mine = (message) => {
            const payload = message && message.data && message.data.payload;
            // Before the first page we do not know which stream is ours, and asking is harmless.
            if (payload && (this.streamKey === null || payload.Stream_Key__c === this.streamKey)) {
                this.pull();
            }
        };
        Promise.resolve(this.parts.empApi.subscribe(channel, -1, mine)).then(
            (subscription) => {
                this.subscription = subscription;
                if (this.stopped) {
                    this.stop();
                }
            },
            () => this.parts.changed({ name: 'events', open: false })
        );
    }

    pollLater() {
        if (this.stopped) {
            return;
        }
        const every = Math.max(LEAST_POLL_S, Number(this.parts.settings.pollSeconds) || 10) * 1000;
        this.poll = this.parts.timers.set(
            () => {
                // An open stream tells by itself. A poller must go on asking: that is how the service knows it is there.
                if (!this.stream || !this.stream.isOpen) {
                    this.pull();
                }
                this.pollLater();
            },
            this.busy ? every : every * IDLE
        );
    }

    /** Fetches what changed. Asked while it is at it, it does so once more afterwards. */
    async pull() {
        if (this.stopped) {
            return;
        }
        if (this.pulling) {
            this.again = true;
            return;
        }
        this.pulling = true;
        try {
            do {
                this.again = false;
                // A page that has just been loaded says no `after`: it is told what is open, so nothing is left undone.
                const page = await this.parts.apex.directivesAfter({ after: this.next, acts: this.acts() });
                this.streamKey = page.streamKey || this.streamKey;
                for (const directive of page.items) {
                    this.heard(directive.status === 'OPEN' ? 'directive' : 'settled', directive);
                }
                this.again = this.again || (page.items.length > 0 && page.nextAfter !== this.next);
                this.next = page.nextAfter;
            } while (this.again && !this.stopped);
        } catch {
            // The next poll asks again; nothing is lost, since `next` stands where it stood.
        } finally {
            this.pulling = false;
        }
    }

    heard(name, directive) {
        if (this.stopped) {
            return;
        }
        this.memory.heard(directive.eventId);
        this.parts.changed({ name, directive });
        if (name === 'directive' && directive.act === true) {
            this.carryOut(directive);
        }
    }

    /** Carries one out: once in this browser. */
    async carryOut(directive) {
        const id = directive.directiveId;
        if (this.underWay.has(id)) {
            return;
        }
        this.underWay.add(id);
        try {
            await this.alone(id, async () => {
                const before = this.memory.outcomeOf(id);
                if (before) {
                    await this.acknowledge(before);
                    return;
                }
                const control = this.parts.legControl();
                if (!control || this.stopped) {
                    return;
                }
                // Whether it has expired is a matter of the service's clock.
                control.now = () => this.clock.now();
                const { outcome, at, detail } = await this.obeyed(control, directive);
                const kept = { directiveId: id, supervisionId: directive.supervisionId, outcome, at, detail };
                this.memory.keep(kept);
                this.parts.changed({ name: 'carriedOut', directive, outcome, detail });
                await this.acknowledge(kept);
            });
        } finally {
            this.underWay.delete(id);
        }
    }

    async obeyed(control, directive) {
        const backoff = new Backoff(this.parts.backoff);
        for (let attempt = 1; ; attempt += 1) {
            const answer = await control.obey(directive);
            if (answer.outcome !== 'FAILED' || attempt >= ATTEMPTS || this.stopped) {
                return answer;
            }
            const wait = backoff.next();
            await new Promise((done) => this.parts.timers.set(done, wait));
        }
    }

    /** Runs it unless another tab of this browser is at it. */
    async alone(id, what) {
        const { locks } = this.parts;
        if (!locks || typeof locks.request !== 'function') {
            await what();
            return;
        }
        await locks.request(`sidedoor.directive.${id}`, { ifAvailable: true }, async (lock) => {
            if (lock) {
                await what();
            }
        });
    }

    /** Tells the service, until it has it or will never take it. The key makes a repeat the same request. */
    async acknowledge({ directiveId, supervisionId, outcome, at, detail }) {
        const backoff = new Backoff(this.parts.backoff);
        const requestKey = `ack-${directiveId}-${outcome}`;
        for (let tries = 0; tries < TRIES && !this.stopped; tries += 1) {
            try {
                const supervision = await this.parts.apex.acknowledge({
                    supervisionId,
                    directiveId,
                    outcome,
                    at,
                    detail: detail || null,
                    requestKey
                });
                this.memory.acknowledged(directiveId);
                this.parts.changed({ name: 'acknowledged', supervision });
                return;
            } catch (e) {
                const problem = problemOf(e);
                if (problem.final) {
                    // The service knows no such directive (any more): to repeat would change nothing.
                    this.memory.acknowledged(directiveId);
                    this.parts.changed({ name: 'notTaken', problem });
                    return;
                }
                const wait = backoff.next();
                await new Promise((done) => this.parts.timers.set(done, wait));
            }
        }
    }
}

function storageOf(page) {
    try {
        return page.sessionStorage || null;
    } catch {
        return null;
    }
}
