/**
 * Receives the directives of the supervisor of this page, has them carried out, and acknowledges them.
 *
 * They come by server-sent events, by a Platform Event that says "something changed" (then they are fetched), or by asking from
 * time to time. However they come:
 * - this page acts only where the service says so (`act`: of the pages that can, the newest), where it holds a CCP, and where no other tab of this browser is at
 *   the same directive or the same leg (Web Locks). Between browsers the service decides, and hands a directive on by itself to
 *   a stream only: one that asks is told that it does not act, and asks again from the start while the directive is open;
 * - an outcome is kept before it is told, so a reload acknowledges again and does not carry out again;
 * - an acknowledgement is tried until the service has it, ever more slowly.
 */
import { Backoff } from './backoff';
import { DirectiveExecutor } from './executor';
import { Ledger } from './ledger';
import { Memory } from './memory';
import { Problem, problemOf } from './problems';
import { ServiceClock } from './clock';
import { Stream } from './stream';
import { TAB } from './tab';

export { Backoff, Ledger, Memory, Problem, problemOf, ServiceClock };

/** How often to ask at the most, whatever is configured. */
const LEAST_POLL_S = 2;
/** Idle pages ask this many times less often. */
const IDLE = 6;
/** When to have told again what another was told to do: the service gives that one 4 s. */
const AGAIN_MS = 4500;
/** How long a directive waits for a ticket that tells the service's time: a leave is not held up by it. */
const TICKET_MS = 2000;

export class DirectiveReceiver {
    /**
     * @param {object} parts
     * @param {object} parts.apex directivesAfter({after, acts, tab}), acknowledge({…}), streamTicket(): SidedoorController's
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
        this.executor = new DirectiveExecutor({
            ...this.parts,
            memory: () => this.memory,
            clock: this.clock,
            learnClock: () => this.within(this.learnClock(), TICKET_MS),
            fresh: () => (this.isStreaming ? null : this.pull()),
            again: (directive) => this.againLater([directive]),
            stopped: () => this.stopped
        });
        this.channelKey = null;
        /** Who the supervisor is to Connect, once a ticket has said so. */
        this.connectUserId = null;
        this.next = null;
        /** Whether the next look asks for everything that is open, not only for what came since. */
        this.fromStart = true;
        this.pulling = false;
        this.again = false;
        this.busy = false;
        this.stopped = true;
    }

    /** Begins. What was carried out before a reload and not acknowledged is acknowledged now. */
    async start() {
        this.stopped = false;
        const { settings } = this.parts;
        // Without a ticket: the browser's own clock and a memory of this page only, until there is one.
        await this.within(this.learnClock(), TICKET_MS);
        if (this.stopped) {
            return;
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
        if (!this.clock.known) {
            this.learnLater(new Backoff(this.parts.backoff));
        }
        if (settings.deliveryMode === 'EMP_API' && this.parts.empApi) {
            this.listenToEvents(settings.eventChannel);
        }
        this.pull();
        this.pollLater();
    }

    stop() {
        this.stopped = true;
        [this.poll, this.later, this.learning].forEach((timer) => this.parts.timers.clear(timer));
        this.later = null;
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
        this.tellAgain();
    }

    /** Has told anew what is open: a look that is under way was asked before, so another one follows it. */
    tellAgain() {
        if (this.stream) {
            this.stream.restart();
            return;
        }
        this.fromStart = true;
        this.pull();
    }

    /** The same a little later, if any of these is still open then. */
    againLater(directives) {
        if (this.stopped || this.later) {
            return;
        }
        this.later = this.parts.timers.set(() => {
            this.later = null;
            const open = ({ directiveId, expiresAt }) =>
                !this.executor.ledger.isClosed(directiveId) && (!this.clock.known || Date.parse(expiresAt) > this.clock.now());
            if (!this.stopped && this.acts() && directives.some(open)) {
                this.tellAgain();
            }
        }, AGAIN_MS);
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
        if (this.memory.whose !== ticket.connectUserId) {
            this.memory = this.memory.as(this.parts.storage, ticket.connectUserId);
            if (!this.stopped) {
                this.memory.unacknowledged().forEach((outcome) => this.executor.acknowledge(outcome));
            }
        }
        return ticket;
    }

    /** Asks for a ticket if the service's clock is not known, and says whether it is. */
    async learnClock() {
        if (!this.clock.known) {
            try {
                await this.ticket();
            } catch {
                // Tried again, by learnLater or by the stream.
            }
        }
        return this.clock.known;
    }

    async within(what, ms) {
        let timer;
        const late = new Promise((over) => {
            timer = this.parts.timers.set(over, ms);
        });
        await Promise.race([what, late]);
        this.parts.timers.clear(timer);
    }

    /** A computer that is ahead would refuse what is good: so it is tried until it is known. */
    learnLater(backoff) {
        if (this.stopped) {
            return;
        }
        this.learning = this.parts.timers.set(async () => {
            if (!this.stopped && !(await this.learnClock())) {
                this.learnLater(backoff);
            }
        }, backoff.next());
    }

    get isStreaming() {
        return Boolean(this.stream) && this.stream.isOpen;
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
            if (payload && (this.channelKey === null || payload.Stream_Key__c === this.channelKey)) {
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
                if (!this.isStreaming) {
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
        let fromStart = false;
        try {
            do {
                this.again = false;
                // A page that has just been loaded says no `after`: it is told what is open, so nothing is left undone.
                const after = this.fromStart ? null : this.next;
                fromStart = this.fromStart;
                this.fromStart = false;
                const acts = this.acts();
                const page = await this.parts.apex.directivesAfter({ after, acts, tab: acts ? TAB : null });
                fromStart = false;
                this.channelKey = page.channelKey || this.channelKey;
                for (const directive of page.items) {
                    this.heard(directive.status === 'OPEN' ? 'directive' : 'settled', directive);
                }
                this.again = this.again || (page.items.length > 0 && page.nextAfter !== after);
                this.next = page.nextAfter;
                const others = page.items.filter((one) => one.status === 'OPEN' && one.act !== true);
                if (others.length > 0 && this.acts() && !this.isStreaming) {
                    this.againLater(others);
                }
            } while (this.again && !this.stopped);
        } catch {
            // The next poll asks again; nothing is lost, since it asks from where this one asked.
            this.fromStart = this.fromStart || fromStart;
        } finally {
            this.pulling = false;
        }
    }

    heard(name, directive) {
        if (this.stopped) {
            return;
        }
        this.memory.heard(directive.eventId);
        this.executor.ledger.heard(directive);
        this.parts.changed({ name, directive });
        if (name === 'directive' && directive.act === true) {
            this.executor.carryOut(directive);
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
