/**
 * The MONITOR legs this page has seen, so that one that is gone can be told from one that was never here. Bounded.
 */
const MOST = 100;

export class SeenLegs {
    legs = new Set();

    add(leg) {
        this.legs.delete(leg);
        this.legs.add(leg);
        if (this.legs.size > MOST) {
            this.legs.delete(this.legs.values().next().value);
        }
    }

    has(leg) {
        return this.legs.has(leg);
    }
}
