/**
 * Supervision for a partner connector built on `@salesforce/scv-connector-base` (checked against its source, 3.6.2), over
 * Sidedoor: superviseCall, supervisorBargeIn, and supervisorDisconnect with and without a call.
 *
 * For Partner Telephony and BYOC for CCaaS, where the partner provides the connector and it holds the Contact Control Panel. (In a
 * native Amazon Connect org Salesforce's connector does this, and Sidedoor only sees the legs.) Mix it into your VendorConnector:
 *
 *     import * as base from '@salesforce/scv-connector-base';
 *     class Connector extends base.VendorConnector { … }
 *     Object.assign(Connector.prototype, supervision({ base, send: overFetch(fetch, '/my-back-end/sidedoor'), legControl }));
 *
 * The base connector has no answer between "it happened" and "it failed". So a leave that was accepted but is not confirmed by
 * evidence in time is answered with the error `confirmation_timeout`; when the evidence arrives, SUPERVISOR_HANGUP is published.
 */
import { directiveExecutor } from './directive';
import { SidedoorError } from './send';

export { overFetch, SidedoorError } from './send';

const ACTIVE = ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'];
/** How long to wait for evidence before answering, because Salesforce shows a spinner meanwhile. */
const WITHIN_MS = 8000;
const LOOK_EVERY_MS = 250;
/** How long an accepted leave is watched after that, so that SUPERVISOR_HANGUP can still be published. */
const WATCH_MS = 600000;
const WATCH_EVERY_MS = 2000;

/**
 * @param {object} parts
 * @param {object} parts.base the module @salesforce/scv-connector-base: the same copy that the connector uses
 * @param {Function} parts.send send(method, path, {body, idempotencyKey}) → the answer's JSON; see overFetch. It sends the
 *   supervisor's own credential, or goes through a back end that does, because the paths say `me`
 * @param {object} [parts.legControl] a LegControl. With it the directive in an answer is carried out at once
 * @param {object} [parts.locks] Web Locks, if not the browser's own
 * @param {boolean} [parts.mayBarge] whether to request permission to barge in at the start; default true
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
    /** The last supervision that this connector started. One is enough, because Connect allows a supervisor only one at a time. */
    let current = null;
    /** The supervisor's Connect user id, once an answer has contained it. */
    let me = null;

    const { carryOut, identity } = directiveExecutor({ send, legControl, isFinal, ...(locks === undefined ? {} : { locks }), firstMs: lookEveryMs * 2 });
    const get = (id) => send('GET', `/v1/supervisions/${encodeURIComponent(id)}`, {});

    /** Reads a supervision until `good` accepts it or the time is up. A lost answer is retried. */
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

    /** Retries with the same key while it is unknown whether the request arrived. Only for leaving: a late join is unwanted. */
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

    /** The supervision of a call: the one started here, or another active one of this supervisor (from before a reload, or elsewhere). */
    async function supervisionOf(info) {
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
        // Other supervisors may be on the same call; theirs must not be used.
        const own = page.items.filter(({ supervisor }) => supervisor && supervisor.connectUserId === me);
        if (own.length !== 1) {
            throw new SidedoorError({ code: 'supervision_not_found', status: 404, detail: 'this supervisor has no active supervision of this call' });
        }
        return own[0];
    }

    /** The current state of a supervision, or null if it has ended or no longer exists. */
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

    /** Waits for evidence. If the service does not answer meanwhile, the state known so far is returned. */
    async function untilConfirmed(s, good) {
        try {
            return await until(s.id, good, withinMs, lookEveryMs);
        } catch (e) {
            if (isFinal(e)) {
                throw e;
            }
            return s;
        }
    }

    /** Publishes SUPERVISOR_HANGUP when a leave that was not confirmed in time is confirmed after all. */
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
            // Nothing to publish. The supervisor still has their CCP, and operators see the overdue leave in Sidedoor.
        }
    }

    const hangup = (calls) => new base.SupervisorHangupResult({ calls });

    return {
        /** @param {object} info a SupervisedCallInfo; its callId is the vendor's call id, for Connect the contact id */
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
                throw new SidedoorError({ code: 'confirmation_timeout', detail: 'the request was accepted, but Amazon Connect has not provided the line yet' });
            }
            if (s.state !== 'MONITORING') {
                throw new SidedoorError(s.failure || { code: 'supervision_state_conflict', detail: `the supervision is ${s.state}` });
            }
            current = s;
            me = (s.supervisor && s.supervisor.connectUserId) || me;
            return new base.SuperviseCallResult({ call: phoneCall(s, info, { state: base.Constants.CALL_STATE.CONNECTED }) });
        },

        async supervisorBargeIn(info) {
            const { id } = await supervisionOf(info);
            let s = await send('POST', `/v1/supervisions/${encodeURIComponent(id)}/mode`, {
                body: { mode: 'BARGE' },
                idempotencyKey: key('barge')
            });
            if (s.mode !== 'BARGE') {
                await carryOut(s);
                s = await untilConfirmed(s, (one) => one.mode === 'BARGE' || one.state !== 'MONITORING');
            }
            if (s.mode !== 'BARGE') {
                throw new SidedoorError({ code: 'confirmation_timeout', detail: 'the change was accepted, but there is no evidence yet that you can be heard' });
            }
            current = s;
            const call = phoneCall(s, info, { state: base.Constants.CALL_STATE.CONNECTED, bargedIn: true });
            return new base.SuperviseCallResult({ call });
        },

        /**
         * Leaves the supervision of the call or, without a call, whichever one this supervisor is on. The base connector calls it
         * without a call before a call is accepted and on log-out.
         */
        async supervisorDisconnect(info) {
            let s;
            try {
                const path = info && info.callId ? `/v1/supervisions/${encodeURIComponent((await supervisionOf(info)).id)}` : '/v1/supervisors/me';
                s = await sendUntilAnswered(`${path}/disconnect`, key('leave'));
            } catch (e) {
                // Without a call there may be nothing to leave, which is the wanted state already.
                if (!(info && info.callId) && e instanceof SidedoorError && e.code === 'supervision_not_found') {
                    return hangup([]);
                }
                throw e;
            }
            if (ACTIVE.includes(s.state)) {
                await carryOut(s);
                s = await untilConfirmed(s, (one) => !ACTIVE.includes(one.state));
            }
            if (ACTIVE.includes(s.state)) {
                watch(s.id, info);
                throw new SidedoorError({ code: 'confirmation_timeout', detail: 'the disconnect was accepted, but there is no evidence yet that you left' });
            }
            current = null;
            return hangup([phoneCall(s, info, { state: base.Constants.CALL_STATE.ENDED })]);
        }
    };
}

/** Whether the service has answered and would give the same answer again. */
function isFinal(e) {
    return e instanceof SidedoorError && e.status >= 400 && e.status < 500 && ![408, 429].includes(e.status) && e.code !== 'idempotency_key_conflict';
}

function pause(ms) {
    return new Promise((done) => setTimeout(done, ms));
}

function key(what) {
    return `${what}-${crypto.randomUUID()}`;
}
