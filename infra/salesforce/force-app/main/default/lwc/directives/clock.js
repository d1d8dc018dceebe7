/**
 * The service's time as this page knows it. A supervisor's computer may be minutes off, and a directive that has expired must
 * not be carried out, nor a good one refused. A ticket says what time it was at the service: it is good for 60 s from then.
 */
const TICKET_LIVES_MS = 60000;

export class ServiceClock {
    offsetMs = 0;
    /** Whether the service has said what time it is; until then it is this computer's time. */
    known = false;

    constructor(local = () => Date.now()) {
        this.local = local;
    }

    /** Learns from a ticket that has just been fetched. */
    learn(ticketExpiresAt, askedAt, answeredAt) {
        const expires = Date.parse(ticketExpiresAt);
        if (Number.isFinite(expires)) {
            this.offsetMs = expires - TICKET_LIVES_MS - (askedAt + answeredAt) / 2;
            this.known = true;
        }
    }

    now() {
        return this.local() + this.offsetMs;
    }
}
