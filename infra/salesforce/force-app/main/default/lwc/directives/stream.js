/**
 * The stream of directives by server-sent events. A ticket opens it only once, so EventSource must not reconnect by itself: when the
 * stream breaks it is closed, another ticket is fetched, and the new stream continues after the last event received.
 *
 * If CORS, CSP or a proxy keeps the stream from the page, it may still be open at the service, which then waits for this page to
 * act. So after an attempt that never opened, the page asks only to watch (`acts=false`) until a stream opens.
 */
import { Backoff } from './backoff';

/** The service sends a comment every 10 s, which a page cannot see; a broken stream is noticed by its error event. */
export class Stream {
    /**
     * @param {object} parts url: the service's address; ticket(): fetches a ticket; after(): the last eventId received; acts():
     *   whether this page can act; onDirective(name, directive); onOpenChanged(open); EventSource; timers
     */
    constructor(parts) {
        this.parts = parts;
        this.backoff = new Backoff(parts.backoff);
        this.source = null;
        this.timer = null;
        this.stopped = true;
        this.generation = 0;
        this.doubtful = false;
    }

    start() {
        this.stopped = false;
        this.open();
    }

    stop() {
        this.stopped = true;
        this.close();
        this.parts.timers.clear(this.timer);
    }

    /** Opens a new stream, for instance because the page holds a CCP now. */
    restart() {
        if (!this.stopped) {
            this.close();
            this.parts.timers.clear(this.timer);
            this.open();
        }
    }

    get isOpen() {
        return this.source !== null && this.source.readyState === 1;
    }

    async open() {
        this.generation += 1;
        const generation = this.generation;
        let ticket;
        try {
            ticket = await this.parts.ticket();
        } catch {
            this.later(generation);
            return;
        }
        if (this.stopped || generation !== this.generation) {
            return;
        }
        const source = new this.parts.EventSource(this.url(ticket));
        this.source = source;
        let opened = false;
        source.onopen = () => {
            if (source !== this.source) {
                return;
            }
            opened = true;
            this.backoff.reset();
            if (this.doubtful) {
                this.doubtful = false;
                if (this.parts.acts()) {
                    this.restart();
                    return;
                }
            }
            this.parts.onOpenChanged(true);
        };
        source.onerror = () => {
            if (source === this.source) {
                this.doubtful = this.doubtful || !opened;
                this.close();
                this.parts.onOpenChanged(false);
                this.later(this.generation);
            }
        };
        for (const name of ['directive', 'settled']) {
            source.addEventListener(name, (event) => source === this.source && this.receive(name, event));
        }
    }

    receive(name, event) {
        let directive;
        try {
            directive = JSON.parse(event.data);
        } catch {
            return;
        }
        this.parts.onDirective(name, directive);
    }

    url({ ticket, connectUserId }) {
        const base = this.parts.url.replace(/\/+$/, '');
        const query = new URLSearchParams({ ticket });
        const after = this.parts.after();
        if (after) {
            query.set('after', after);
        }
        if (this.doubtful || !this.parts.acts()) {
            query.set('acts', 'false');
        }
        return `${base}/v1/supervisors/${encodeURIComponent(connectUserId)}/directives?${query}`;
    }

    later(generation) {
        if (!this.stopped && generation === this.generation) {
            this.timer = this.parts.timers.set(() => this.open(), this.backoff.next());
        }
    }

    close() {
        if (this.source) {
            this.source.close();
            this.source = null;
        }
    }
}
