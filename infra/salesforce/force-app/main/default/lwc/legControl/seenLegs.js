/**
 * The MONITOR legs that this page has seen, so that a leg that is gone can be distinguished from one that was never here. The oldest
 * is forgotten first.
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
