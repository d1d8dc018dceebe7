/**
 * Times as the Salesforce user reads them: in the locale and the time zone of their settings, unless a page sets another zone.
 */
import LOCALE from '@salesforce/i18n/locale';
import TIME_ZONE from '@salesforce/i18n/timeZone';
import { fill, labels } from 'c/labels';

const FORMATS = new Map();

/** A formatter is kept, because making one takes longer than using it, and a board has hundreds of times. */
function formatOf(zone, milliseconds) {
    const key = `${zone} ${milliseconds}`;
    if (!FORMATS.has(key)) {
        const parts = { hour: '2-digit', minute: '2-digit', ...(milliseconds ? { second: '2-digit', fractionalSecondDigits: 3 } : {}) };
        FORMATS.set(key, new Intl.DateTimeFormat(LOCALE, { ...parts, timeZone: zone }));
    }
    return FORMATS.get(key);
}

function format(iso, zone, milliseconds) {
    const at = new Date(iso);
    return !iso || Number.isNaN(at.getTime()) ? '' : formatOf(zone || TIME_ZONE, milliseconds).format(at);
}

/** A time of day with milliseconds. The default zone is the user's. */
export function timeOf(iso, zone) {
    return format(iso, zone, true);
}

/** A time of day with minutes. */
export function minuteOf(iso, zone) {
    return format(iso, zone, false);
}

/** How long ago a time was at `now` (ms), in minutes. Empty if the time is not known. */
export function agoOf(iso, now) {
    const at = Date.parse(iso);
    if (!Number.isFinite(at) || !Number.isFinite(now)) {
        return '';
    }
    const minutes = Math.floor(Math.max(0, now - at) / 60000);
    return minutes < 1 ? labels.BoardUnderAMinute : fill(labels.BoardMinutes, minutes);
}

/** The time of a departure with its uncertainty and calibration grade. */
export function leavingOf(departure, zone) {
    if (!departure) {
        return '';
    }
    const { grade } = departure.calibration;
    if (!Number.isFinite(departure.uncertaintyMs)) {
        return fill(labels.LeavingLatest, timeOf(departure.latest, zone), grade);
    }
    return fill(labels.LeavingAt, timeOf(departure.disconnectedAt, zone), departure.uncertaintyMs, grade);
}
