/**
 * Receives the directives for the supervisor of this page, carries them out and acknowledges them.
 *
 * They arrive by server-sent events, by polling, or by polling after a Platform Event that says "something changed". The page polls
 * and subscribes to the event only while the supervisor is on a call (`setBusy`): without a leg there is nothing to end, and the org
 * pays for each event that is delivered to a page. In all cases:
 * - this page acts only if the service says so (`act`: the newest of the pages that can), if the page holds a CCP, and if no other
 *   tab of this browser works on the same directive or the same leg (Web Locks). Between browsers the service decides. It hands a
 *   directive on to another page by itself only over a stream; a page that polls gets `act: false` and reads the open directives
 *   again while they are open;
 * - an outcome is stored before it is sent, so that a reload repeats the acknowledgement and not the action;
 * - an acknowledgement is retried with growing waits until the service has it.
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

/** The shortest poll interval in seconds, whatever is configured. */
const LEAST_POLL_S = 2;
/** When to read a directive again that another page should carry out: the service gives that page 4 s. */
const AGAIN_MS = 4500;
/** How long a directive waits for the service's time. After that it goes ahead, because a leave must not be delayed by the clock. */
const TICKET_MS = 2000;

export class DirectiveReceiver {
    /**
     * @param {object} parts
     * @param {object} parts.apex the methods of SidedoorController: directivesAfter({after, acts, tab}), acknowledge({…}), streamTicket()
     * @param {object} parts.settings SidedoorController.settings(): deliveryMode, eventChannel, streamUrl, pollSeconds
     * @param {Function} parts.legControl returns the page's LegControl, or null
     * @param {Function} [parts.onEvent] called with each event: {name, directive, …}
     * @param {object} [parts.empApi] lightning/empApi
     */
    constructor(parts) {
        const page = typeof window === 'undefined' ? {} : window;
        this.parts = {
            onEvent: () => {},
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
            fetchNewest: () => (this.isStreaming ? null : this.pull()),
            readAgainLater: (directive) => this.readAgainLater([directive]),
            stopped: () => this.stopped
        });
        this.channelKey = null;
        /** The supervisor's Connect user id, once a ticket has been fetched. */
        this.connectUserId = null;
        this.next = null;
        /** Whether the next poll reads everything that is open, and not only what is new. */
        this.fromStart = true;
        this.pulling = false;
        this.again = false;
        this.busy = false;
        this.stopped = true;
    }

    /** Starts receiving. Outcomes from before a reload that were not acknowledged are acknowledged now. */
    async start() {
        this.stopped = false;
        const { settings } = this.parts;
        // Without a ticket the page uses the browser's own clock, and remembers outcomes only until it is closed.
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
                onDirective: (name, directive) => this.receive(name, directive),
                onOpenChanged: (open) => this.streamChanged(open),
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
        // Once, because a directive may have been issued before the page was loaded.
        this.pull();
        this.followBusy();
    }

    stop() {
        this.stopped = true;
        [this.poll, this.later, this.learning].forEach((timer) => this.parts.timers.clear(timer));
        this.later = null;
        if (this.stream) {
            this.stream.stop();
        }
        this.unsubscribe();
    }

    unsubscribe() {
        if (this.subscription) {
            this.parts.empApi.unsubscribe(this.subscription, () => {});
            this.subscription = null;
        }
    }

    /** Whether this page can act. */
    acts() {
        return Boolean(this.parts.legControl());
    }

    /** To be called when this page can act, or can no longer act. */
    controlChanged() {
        if (this.stopped) {
            return;
        }
        this.readAgain();
    }

    /** Reads everything that is open. If a poll is in flight another one follows, because the first was sent before the change. */
    readAgain() {
        if (this.stream) {
            this.stream.restart();
            return;
        }
        this.fromStart = true;
        this.pull();
    }

    /** The same after a few seconds, if one of these directives is still open then. */
    readAgainLater(directives) {
        if (this.stopped || this.later) {
            return;
        }
        this.later = this.parts.timers.set(() => {
            this.later = null;
            const open = ({ directiveId, expiresAt }) =>
                !this.executor.ledger.isClosed(directiveId) && (!this.clock.known || Date.parse(expiresAt) > this.clock.now());
            if (!this.stopped && this.acts() && directives.some(open)) {
                this.readAgain();
            }
        }, AGAIN_MS);
    }

    /** Sets whether the supervisor is on a call now. Only then the page polls and is subscribed to the event. */
    setBusy(busy) {
        if (busy !== this.busy) {
            this.busy = busy;
            if (!this.stopped && busy) {
                // What was issued while this page was not polling.
                this.pull();
            }
            this.followBusy();
        }
    }

    followBusy() {
        this.parts.timers.clear(this.poll);
        if (this.stopped) {
            return;
        }
        this.pollLater();
        const { settings, empApi } = this.parts;
        if (settings.deliveryMode !== 'EMP_API' || !empApi) {
            return;
        }
        if (!this.busy) {
            this.unsubscribe();
        } else if (!this.subscription && !this.subscribing) {
            this.listenToEvents(settings.eventChannel);
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

    /** Fetches a ticket if the service's time is not known. Returns whether it is known now. */
    async learnClock() {
        if (!this.clock.known) {
            try {
                await this.ticket();
            } catch {
                // learnLater or the stream retries.
            }
        }
        return this.clock.known;
    }

    /** Waits for a promise, for at most `ms`. */
    async within(promise, ms) {
        let timer;
        const late = new Promise((over) => {
            timer = this.parts.timers.set(over, ms);
        });
        await Promise.race([promise, late]);
        this.parts.timers.clear(timer);
    }

    /** Retries until the service's time is known, because a computer whose clock is ahead would refuse valid directives. */
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
        this.parts.onEvent({ name: 'stream', open });
        if (!open) {
            // Polling replaces the stream until it is open again.
            this.pull();
        }
    }

    listenToEvents(channel) {
        const mine = (message) => {
            const payload = message && message.data && message.data.payload;
            // Before the first poll this page does not know its channel, so any event triggers a poll; an extra poll is harmless.
            if (payload && (this.channelKey === null || payload.Stream_Key__c === this.channelKey)) {
                this.pull();
            }
        };
        this.subscribing = true;
        Promise.resolve(this.parts.empApi.subscribe(channel, -1, mine)).then(
            (subscription) => {
                this.subscribing = false;
                this.subscription = subscription;
                if (this.stopped || !this.busy) {
                    this.unsubscribe();
                }
            },
            () => {
                this.subscribing = false;
                this.parts.onEvent({ name: 'events', open: false });
            }
        );
    }

    pollLater() {
        if (this.stopped || !this.busy) {
            return;
        }
        const every = Math.max(LEAST_POLL_S, Number(this.parts.settings.pollSeconds) || 10) * 1000;
        this.poll = this.parts.timers.set(
            () => {
                // An open stream delivers by itself. Without one the page must poll, because the service learns from the polls that it is there.
                if (!this.isStreaming) {
                    this.pull();
                }
                this.pollLater();
            },
            every
        );
    }

    /** Fetches new directives. If it is called while a poll is in flight, one more poll follows. */
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
                // Without `after` the service sends everything that is open, so that a page that was just loaded misses nothing.
                const after = this.fromStart ? null : this.next;
                fromStart = this.fromStart;
                this.fromStart = false;
                const acts = this.acts();
                const page = await this.parts.apex.directivesAfter({ after, acts, tab: acts ? TAB : null });
                fromStart = false;
                this.channelKey = page.channelKey || this.channelKey;
                for (const directive of page.items) {
                    this.receive(directive.status === 'OPEN' ? 'directive' : 'settled', directive);
                }
                this.again = this.again || (page.items.length > 0 && page.nextAfter !== after);
                this.next = page.nextAfter;
                const others = page.items.filter((one) => one.status === 'OPEN' && one.act !== true);
                if (others.length > 0 && this.acts() && !this.isStreaming) {
                    this.readAgainLater(others);
                }
            } while (this.again && !this.stopped);
        } catch {
            // The next poll reads from the same place, so nothing is lost.
            this.fromStart = this.fromStart || fromStart;
        } finally {
            this.pulling = false;
        }
    }

    receive(name, directive) {
        if (this.stopped) {
            return;
        }
        this.memory.advance(directive.eventId);
        this.executor.ledger.update(directive);
        this.parts.onEvent({ name, directive });
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
