/**
 * Supervision for a partner connector built on `@salesforce/scv-connector-base` (checked against its source, 3.6.2), over
 * Sidedoor: superviseCall, supervisorBargeIn, and supervisorDisconnect with and without a call.
 *
 * For Partner Telephony and BYOC for CCaaS, where the connector is one's own and holds the Contact Control Panel. (In a native
 * Amazon Connect org Salesforce's connector does this, and Sidedoor only sees the legs.) Mix it into your VendorConnector:
 *
 *     import * as base from '@salesforce/scv-connector-base';
 *     class Connector extends base.VendorConnector { … }
 *     Object.assign(Connector.prototype, supervision({ base, send: overFetch(fetch, '/my-back-end/sidedoor'), legControl }));
 *
 * The base connector knows no third thing between "it happened" and "it failed". So a leave that is accepted and that no evidence
 * has confirmed in time is answered by an error that says so; when the evidence comes, SUPERVISOR_HANGUP is published then.
 */
import { directiveExecutor } from './directive';
import { SidedoorError } from './send';

export { overFetch, SidedoorError } from './send';

const ACTIVE = ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'];
/** Salesforce shows a spinner meanwhile; beyond this it is told. */
const WITHIN_MS = 8000;
const LOOK_EVERY_MS = 250;
/** How long a leave that was accepted is watched afterwards. */
const WATCH_MS = 600000;
const WATCH_EVERY_MS = 2000;

/**
 * @param {object} parts
 * @param {object} parts.base the module @salesforce/scv-connector-base, the very copy that the connector uses
 * @param {Function} parts.send send(method, path, {body, idempotencyKey}) → the answer's JSON; see overFetch. It carries the
 *   supervisor's own credential, or goes through a back end that does: the paths say `me`
 * @param {object} [parts.legControl] a LegControl; with it the directive in an answer is carried out at once
 * @param {object} [parts.locks] Web Locks, if not the browser's own
 * @param {boolean} [parts.mayBarge] whether speaking is granted at the start; true
 */
export function supervision({
    base,
    send,
    legControl = null,
    mayBarge = true,
    locks,
    withinMs = WITHIN_MS,
    lookEveryMs = LOOK_EVERY_MS,
    watchMs = WATCH_MS,
    watchEveryMs = WATCH_EVERY_MS
}) {
    /** What this connector began, by the vendor's call id: the last one only, since Connect allows one. */
    let current = null;
    /** Who this supervisor is to Connect, once an answer has said so. */
    let me = null;

    const { carryOut, identity } = directiveExecutor({ send, legControl, isFinal, ...(locks === undefined ? {} : { locks }), firstMs: lookEveryMs * 2 });
    const get = (id) => send('GET', `/v1/supervisions/${encodeURIComponent(id)}`, {});

    /** Looks until it is good or the time is over; an answer that is lost on the way is no answer yet. */
    async function until(id, good, ms, everyMs) {
        const end = Date.now() + ms;
        for (;;) {
            try {
                const s = await get(id);
                if (good(s) || Date.now() >= end) {
                    return s;
                }
            } catch (e) {
                if (isFinal(e) || Date.now() >= end) {
                    throw e;
                }
            }
            await pause(everyMs);
        }
    }

    /** A leave does not grow stale: it is sent again with its key while nobody knows whether it arrived. A join is not. */
    async function sendUntilAnswered(path, idempotencyKey) {
        const end = Date.now() + withinMs;
        for (;;) {
            try {
                return await send('POST', path, { body: {}, idempotencyKey });
            } catch (e) {
                if (isFinal(e) || Date.now() >= end) {
                    throw e;
                }
            }
            await pause(lookEveryMs);
        }
    }

    function phoneCall(s, info, { state, bargedIn = false }) {
        const { Constants, PhoneCall, PhoneCallAttributes, CallInfo } = base;
        return new PhoneCall({
            callId: s.contactId || (info && info.callId) || s.id,
            callType: (info && info.callType) || Constants.CALL_TYPE.INBOUND,
            state,
            callAttributes: new PhoneCallAttributes({
                voiceCallId: (info && info.voiceCallId) || s.voiceCallId || undefined,
                participantType: Constants.PARTICIPANT_TYPE.SUPERVISOR,
                hasSupervisorBargedIn: bargedIn
            }),
            callInfo: new CallInfo({ isReplayable: true })
        });
    }

    /** The supervision of a call: ours, else one of this supervisor's that is there (begun before a reload, or outside). */
    async function of(info) {
        if (current && current.contactId === info.callId) {
            current = await latest(current);
            if (current) {
                return current;
            }
        }
        const { connectUserId } = me ? { connectUserId: me } : await identity();
        me = connectUserId;
        const query = new URLSearchParams({ contactId: info.callId, connectUserId: me, state: ACTIVE.join(',') });
        const page = await send('GET', `/v1/supervisions?${query}`, {});
        // Others may listen to the same call: theirs is not ours to leave.
        const own = page.items.filter(({ supervisor }) => supervisor && supervisor.connectUserId === me);
        if (own.length !== 1) {
            throw new SidedoorError({ code: 'supervision_not_found', status: 404, detail: 'no supervision of this call is yours' });
        }
        return own[0];
    }

    /** How it stands now, or null if it is over, or gone: it may have ended by another way since. */
    async function latest({ id }) {
        try {
            const s = await until(id, () => true, withinMs, lookEveryMs);
            return ACTIVE.includes(s.state) ? s : null;
        } catch (e) {
            if (e instanceof SidedoorError && e.code === 'supervision_not_found') {
                return null;
            }
            throw e;
        }
    }

    /** Waits for the evidence; that nobody answers meanwhile is no evidence of anything. */
    async function untilSeen(s, good) {
        try {
            return await until(s.id, good, withinMs, lookEveryMs);
        } catch (e) {
            if (isFinal(e)) {
                throw e;
            }
            return s;
        }
    }

    /** A leave that was not confirmed in time: when it is, Salesforce hears of it. */
    async function watch(id, info) {
        try {
            const s = await until(id, (one) => !ACTIVE.includes(one.state), watchMs, watchEveryMs);
            if (!ACTIVE.includes(s.state)) {
                base.publishEvent({
                    eventType: base.Constants.EVENT_TYPE.SUPERVISOR_HANGUP,
                    payload: hangup([phoneCall(s, info, { state: base.Constants.CALL_STATE.ENDED })])
                });
            }
        } catch {
            // Nobody can be told: the supervisor sees their CCP, the operators the overdue leave.
        }
    }

    const hangup = (calls) => new base.SupervisorHangupResult({ calls });

    return {
        /** @param {object} info a SupervisedCallInfo; its callId is the vendor's call id, Connect's contact id */
        async superviseCall(info) {
            const body = { contactId: info.callId, mode: mayBarge ? 'BARGE' : 'SILENT' };
            if (info.voiceCallId) {
                body.voiceCallId = info.voiceCallId;
            }
            let s = await send('POST', '/v1/supervisions', { body, idempotencyKey: key('listen') });
            const joining = (one) => one.state === 'REQUESTED' || one.state === 'JOINING';
            if (joining(s)) {
                s = await until(s.id, (one) => !joining(one), withinMs, lookEveryMs);
            }
            if (joining(s)) {
                throw new SidedoorError({ code: 'confirmation_timeout', detail: 'accepted; Amazon Connect has not given the line yet' });
            }
            if (s.state !== 'MONITORING') {
                throw new SidedoorError(s.failure || { code: 'supervision_state_conflict', detail: `the supervision is ${s.state}` });
            }
            current = s;
            me = (s.supervisor && s.supervisor.connectUserId) || me;
            return new base.SuperviseCallResult({ call: phoneCall(s, info, { state: base.Constants.CALL_STATE.CONNECTED }) });
        },

        async supervisorBargeIn(info) {
            const { id } = await of(info);
            let s = await send('POST', `/v1/supervisions/${encodeURIComponent(id)}/mode`, {
                body: { mode: 'BARGE' },
                idempotencyKey: key('barge')
            });
            if (s.mode !== 'BARGE') {
                await carryOut(s);
                s = await untilSeen(s, (one) => one.mode === 'BARGE' || one.state !== 'MONITORING');
            }
            if (s.mode !== 'BARGE') {
                throw new SidedoorError({ code: 'confirmation_timeout', detail: 'accepted; nothing shows yet that you are heard' });
            }
            current = s;
            const call = phoneCall(s, info, { state: base.Constants.CALL_STATE.CONNECTED, bargedIn: true });
            return new base.SuperviseCallResult({ call });
        },

        /**
         * Leaves: the supervision of the call, or with no call whatever this supervisor listens to (the base connector calls it
         * so before a call is accepted, and on log-out).
         */
        async supervisorDisconnect(info) {
            let s;
            try {
                const path = info && info.callId ? `/v1/supervisions/${encodeURIComponent((await of(info)).id)}` : '/v1/supervisors/me';
                s = await sendUntilAnswered(`${path}/disconnect`, key('leave'));
            } catch (e) {
                // With no call there may be nothing to leave, and that is what was wanted.
                if (!(info && info.callId) && e instanceof SidedoorError && e.code === 'supervision_not_found') {
                    return hangup([]);
                }
                throw e;
            }
            if (ACTIVE.includes(s.state)) {
                await carryOut(s);
                s = await untilSeen(s, (one) => !ACTIVE.includes(one.state));
            }
            if (ACTIVE.includes(s.state)) {
                watch(s.id, info);
                throw new SidedoorError({ code: 'confirmation_timeout', detail: 'accepted; nothing shows yet that you left' });
            }
            current = null;
            return hangup([phoneCall(s, info, { state: base.Constants.CALL_STATE.ENDED })]);
        }
    };
}

/** Whether the service has answered and will answer the same again. */
function isFinal(e) {
    return e instanceof SidedoorError && e.status >= 400 && e.status < 500 && ![408, 429].includes(e.status) && e.code !== 'idempotency_key_conflict';
}

function pause(ms) {
    return new Promise((done) => setTimeout(done, ms));
}

function key(what) {
    return `${what}-${crypto.randomUUID()}`;
}
