/**
 * superviseCall, supervisorBargeIn and supervisorDisconnect of `@salesforce/scv-connector-base` over Sidedoor. The methods are the same
 * in 3.x, where Salesforce calls them on the VendorConnector, and in 4.x, where it calls them on the TelephonyConnector. index.js adds
 * them to the right one.
 *
 * The base connector has no answer between "it happened" and "it failed". So a leave that was accepted but is not confirmed by
 * evidence in time is answered with the error `confirmation_timeout`; when the evidence arrives, SUPERVISOR_HANGUP is published.
 */
import { directiveExecutor } from './directive.js';
import { SidedoorError } from './send.js';

const ACTIVE = ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'];
/** How long to wait for evidence before answering, because Salesforce shows a spinner meanwhile. */
const WITHIN_MS = 8000;
const LOOK_EVERY_MS = 250;
/** How long an accepted leave is watched after that, so that SUPERVISOR_HANGUP can still be published. */
const WATCH_MS = 600000;
const WATCH_EVERY_MS = 2000;

/**
 * @param {object} parts as for addSupervision() in index.js
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
    /** The SupervisedCallInfo with which Salesforce started it. A leave without a call is answered with the same ids. */
    let currentInfo = null;
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
            callId: s.contactId || contactOf(info) || s.id,
            // 4.8 and later: the id of the leg. The base uses callId if there is none, and 3.x does not read it.
            connectionId: (info && info.connectionId) || undefined,
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
        const contactId = contactOf(info);
        if (current && current.contactId === contactId) {
            current = await latest(current);
            if (current) {
                return current;
            }
        }
        const { connectUserId } = me ? { connectUserId: me } : await identity();
        me = connectUserId;
        const query = new URLSearchParams({ contactId, connectUserId: me, state: ACTIVE.join(',') });
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
                    eventType: voiceEvents(base.Constants).SUPERVISOR_HANGUP,
                    payload: hangup([phoneCall(s, info, { state: base.Constants.CALL_STATE.ENDED })])
                });
            }
        } catch {
            // Nothing to publish. The supervisor still has their CCP, and operators see the overdue leave in Sidedoor.
        }
    }

    const infoOf = (s) => (current && current.id === s.id ? currentInfo : null);
    const hangup = (calls) => new base.SupervisorHangupResult({ calls });

    return {
        /** @param {object} info a SupervisedCallInfo; its callId is the vendor's call id, for Connect the contact id */
        async superviseCall(info) {
            const body = { contactId: contactOf(info), mode: mayBarge ? 'BARGE' : 'SILENT' };
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
            currentInfo = info;
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
            currentInfo = info;
            const call = phoneCall(s, info, { state: base.Constants.CALL_STATE.CONNECTED, bargedIn: true });
            return new base.SuperviseCallResult({ call });
        },

        /**
         * Leaves the supervision of the call or, without a call, whichever one this supervisor is on. The base connector, 3.x and 4.x,
         * calls it without an argument before the supervisor takes a call of their own.
         */
        async supervisorDisconnect(info) {
            const named = Boolean(contactOf(info));
            let s;
            try {
                const path = named ? `/v1/supervisions/${encodeURIComponent((await supervisionOf(info)).id)}` : '/v1/supervisors/me';
                s = await sendUntilAnswered(`${path}/disconnect`, key('leave'));
            } catch (e) {
                // Without a call there may be nothing to leave, which is the wanted state already.
                if (!named && e instanceof SidedoorError && e.code === 'supervision_not_found') {
                    return hangup([]);
                }
                throw e;
            }
            const known = named ? info : infoOf(s);
            if (ACTIVE.includes(s.state)) {
                await carryOut(s);
                s = await untilConfirmed(s, (one) => !ACTIVE.includes(one.state));
            }
            if (ACTIVE.includes(s.state)) {
                watch(s.id, known);
                throw new SidedoorError({ code: 'confirmation_timeout', detail: 'the disconnect was accepted, but there is no evidence yet that you left' });
            }
            current = null;
            return hangup([phoneCall(s, known, { state: base.Constants.CALL_STATE.ENDED })]);
        }
    };
}

/** The names of voice events: VOICE_EVENT_TYPE since 4.3.4, EVENT_TYPE.VOICE in 4.2, EVENT_TYPE in 3.x. */
function voiceEvents({ VOICE_EVENT_TYPE, EVENT_TYPE }) {
    return VOICE_EVENT_TYPE || EVENT_TYPE.VOICE || EVENT_TYPE;
}

/** The contact id in a SupervisedCallInfo: the vendor's call id. 4.8 and later repeat it in connectionId, unless the leg has its own. */
function contactOf(info) {
    return (info && (info.callId || info.connectionId)) || null;
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
