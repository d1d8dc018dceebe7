/**
 * How often the component refreshes: at once after an action of the user, every 2 s while something is in progress, otherwise every
 * 15 s.
 */
import { inMotion } from 'c/supervision';

const AT_ONCE_MS = 500;
const AT_ONCE_TIMES = 6;
const SOON_MS = 2000;
const SELDOM_MS = 15000;

export class RefreshInterval {
    eager = 0;

    /** Makes the next few refreshes follow at once, because the user has done something. */
    expedite() {
        this.eager = AT_ONCE_TIMES;
    }

    /** How long to wait until the next refresh, in ms. */
    next({ stale, queued, queuedMine, supervisions }) {
        if (this.eager > 0 && !stale) {
            this.eager -= 1;
            return AT_ONCE_MS;
        }
        return stale || queued.length > 0 || queuedMine || supervisions.some(inMotion) ? SOON_MS : SELDOM_MS;
    }
}
