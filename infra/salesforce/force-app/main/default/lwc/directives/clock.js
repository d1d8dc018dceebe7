/**
 * The service's time, as far as this page knows it. A supervisor's computer may be wrong by minutes, while an expired directive must
 * not be carried out and a valid one must not be refused. A ticket reveals the service's time, because it expires 60 s after it is
 * issued.
 */
const TICKET_LIVES_MS = 60000;

export class ServiceClock {
    offsetMs = 0;
    /** Whether a ticket has given the service's time. Until then `now` is this computer's time. */
    known = false;

    constructor(local = () => Date.now()) {
        this.local = local;
    }

    /** Sets the offset from a ticket; the service is assumed to have issued it halfway between request and answer (local ms). */
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
