/**
 * How long to wait before the next attempt. The waits double up to a bound and are jittered, so that a thousand pages that lost
 * the same service do not reconnect at once.
 */
export class Backoff {
    constructor({ firstMs = 500, mostMs = 30000, random = Math.random } = {}) {
        this.firstMs = firstMs;
        this.mostMs = mostMs;
        this.random = random;
        this.tries = 0;
    }

    /** The next wait in ms: between half of the current bound and the whole of it. */
    next() {
        const bound = Math.min(this.mostMs, this.firstMs * 2 ** Math.min(this.tries, 16));
        this.tries += 1;
        return Math.round(bound / 2 + this.random() * (bound / 2));
    }

    reset() {
        this.tries = 0;
    }
}
