/**
 * How often to look: at once after something was done here, soon while something is on its way, seldom otherwise.
 */
import { inMotion } from './view';

const AT_ONCE_MS = 500;
const AT_ONCE_TIMES = 6;
const SOON_MS = 2000;
const SELDOM_MS = 15000;

export class RefreshInterval {
    eager = 0;

    /** Something was done here. */
    expedite() {
        this.eager = AT_ONCE_TIMES;
    }

    /** How long until the next look. */
    next({ stale, queued, queuedMine, supervisions }) {
        if (this.eager > 0 && !stale) {
            this.eager -= 1;
            return AT_ONCE_MS;
        }
        return stale || queued.length > 0 || queuedMine || supervisions.some(inMotion) ? SOON_MS : SELDOM_MS;
    }
}
