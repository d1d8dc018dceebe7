/**
 * Supervision for a partner's connector, over Sidedoor: for Partner Telephony and BYOC for CCaaS, where the partner provides the
 * connector and it holds the Contact Control Panel. (In a native Amazon Connect org Salesforce's connector does this, and Sidedoor only
 * sees the legs.)
 *
 *     import * as base from '@salesforce/scv-connector-base';
 *     import { addSupervision, overFetch } from 'sidedoor-scv-connector';
 *     const send = overFetch(fetch, 'https://my-back-end/sidedoor');
 *     base.initializeConnector(addSupervision(new Connector(), { base, send, legControl }));
 *
 * It works with each shape that `@salesforce/scv-connector-base` has had since 3.6 (checked against its source up to 4.8.1):
 *
 * | version | Salesforce calls supervision on | capabilities are read with | event types |
 * |---|---|---|---|
 * | 3.6 | the VendorConnector | getCapabilities | EVENT_TYPE |
 * | 4.2 | the TelephonyConnector from getTelephonyConnector() | its getCapabilities | EVENT_TYPE.VOICE |
 * | 4.3.4 | the same | the same | VOICE_EVENT_TYPE, SHARED_EVENT_TYPE |
 * | 4.4.5 and later | the same | its getVoiceCapabilities | the same |
 */
import { supervision } from './supervision.js';

export { overFetch, SidedoorError } from './send.js';

/** The methods with which some version of the base reads what the connector can do. */
const CAPABILITIES = ['getVoiceCapabilities', 'getCapabilities'];

/**
 * Adds superviseCall, supervisorBargeIn and supervisorDisconnect where the base looks for them, and reports `hasSupervisorListenIn` and
 * `hasSupervisorBargeIn` together with the connector's own capabilities. Salesforce offers supervision only if they are reported.
 *
 * @param {object} connector your VendorConnector; it is changed
 * @param {object} parts
 * @param {object} parts.base the module @salesforce/scv-connector-base: the same copy that the connector uses
 * @param {Function} parts.send send(method, path, {body, idempotencyKey}) → the answer's JSON; see overFetch. It sends the
 *   supervisor's own credential, or goes through a back end that does, because the paths say `me`
 * @param {object} [parts.legControl] a LegControl. With it the directive in an answer is carried out at once
 * @param {object} [parts.locks] Web Locks, if not the browser's own
 * @param {boolean} [parts.mayBarge] whether supervisors may barge in; default true. If not, the start requests only silent
 *   monitoring and `hasSupervisorBargeIn` is false
 * @returns {object} the connector
 */
export function addSupervision(connector, parts) {
    const base = namespaceOf(parts.base);
    const { mayBarge = true } = parts;
    const methods = supervision({ ...parts, base, mayBarge });
    const extended = new WeakSet();

    function extend(target) {
        if (!extended.has(target)) {
            extended.add(target);
            Object.assign(target, methods);
            reportCapabilities(target, { hasSupervisorListenIn: true, hasSupervisorBargeIn: mayBarge });
        }
        return target;
    }

    if (typeof base.TelephonyConnector !== 'function') {
        return extend(connector);
    }
    const original = connector.getTelephonyConnector;
    // A connector may return a new object each time. All of them share the state in `methods`.
    connector.getTelephonyConnector = async function getTelephonyConnector() {
        return extend(await original.call(this));
    };
    return connector;
}

/** The base's exports. In plain Node.js they are in `default`, because the published file is CommonJS. */
function namespaceOf(base) {
    const found = [base, base && base.default].find((one) => one && one.PhoneCall);
    if (!found) {
        throw new TypeError('addSupervision: `base` must be the module @salesforce/scv-connector-base');
    }
    return found;
}

/** Adds capabilities to what the connector reports. The copy keeps the class, because the base checks it. */
function reportCapabilities(target, added) {
    for (const name of CAPABILITIES.filter((one) => typeof target[one] === 'function')) {
        const original = target[name];
        target[name] = async function capabilities() {
            const own = await original.call(this);
            return own && Object.assign(Object.create(Object.getPrototypeOf(own)), own, added);
        };
    }
}
