/**
 * The connector with each shape of @salesforce/scv-connector-base: the real 3.6.2, and a stand-in for 4.8.1, which our registry lacks.
 */
const { directiveExecutor } = require('../../scv-connector/directive.js');
const { DirectiveReceiver } = require('c/directives');
const { locksOfABrowser } = require('../support/locks');
const { addSupervision, overFetch } = require('../../scv-connector/index.js');
const { BASES, connectorOf, refused, salesforce: withBase } = require('../support/salesforceVoice');
const { supervision: as, departure, nextAction } = require('../support/supervision');

const TICKET = { ticket: 't', connectUserId: 'supervisor-1', expiresAt: new Date(Date.now() + 60000).toISOString() };
const CALL = { callId: 'customer-1', voiceCallId: '0LQ000000000001', callType: 'Inbound' };
const ID = as().id;
const left = () => as({ state: 'LEFT', departure: departure() });
const issued = () => nextAction({ expiresAt: new Date(Date.now() + 60000).toISOString() });

beforeEach(() => {
    // The base logs every error that it dispatches.
    jest.spyOn(console, 'error').mockImplementation(() => {});
    if (!globalThis.crypto || !globalThis.crypto.randomUUID) {
        Object.defineProperty(globalThis, 'crypto', { value: require('node:crypto').webcrypto, configurable: true });
    }
});
afterEach(() => {
    jest.restoreAllMocks();
    // The receiver of the components remembers there which directives it has carried out.
    window.sessionStorage.clear();
});

describe.each(BASES)('with scv-connector-base %s:', (_version, base) => {
    const salesforce = (answers, over) => withBase(base, answers, over);

    describe('the capabilities', () => {
        const ready = async (over) => {
            const { issued } = await withBase(base, {}, { init: {}, ...over });
            return issued.find(({ type }) => type === 'CONNECTOR_READY').payload.capabilities;
        };

        it('include supervision, next to the own ones', async () => {
            expect(await ready()).toMatchObject({ SUPERVISOR_LISTEN_IN: true, SUPERVISOR_BARGE_IN: true, MUTE: true, RECORD: false });
        });

        it('exclude barging in where it is not allowed', async () => {
            expect(await ready({ mayBarge: false })).toMatchObject({ SUPERVISOR_LISTEN_IN: true, SUPERVISOR_BARGE_IN: false });
        });

        it('are not reported without supervision', async () => {
            const own = connectorOf(base, {});
            const voice = base.TelephonyConnector ? await own.getTelephonyConnector() : own;
            const report = await (voice.getVoiceCapabilities || voice.getCapabilities).call(voice);
            expect(report.hasSupervisorListenIn).toBe(false);
        });
    });

    describe('the ids of a call', () => {
        const LEG = { ...CALL, connectionId: 'leg-of-salesforce' };
        const hasConnections = 'connectionId' in new base.PhoneCall({ callId: 'x' });

        it('come back as Salesforce gave them, also without a call', async () => {
            const { ask } = await salesforce({ 'POST /v1/supervisions': as(), 'POST /v1/supervisors/me/disconnect': left() });
            const [started] = await ask('SUPERVISE_CALL', LEG);
            const [ended] = await ask('SUPERVISOR_DISCONNECT');
            const ids = { callId: 'customer-1', ...(hasConnections ? { connectionId: 'leg-of-salesforce' } : {}) };
            expect(started.payload).toMatchObject(ids);
            expect(ended.payload).toEqual([expect.objectContaining(ids)]);
            expect(ended.payload[0].callAttributes.voiceCallId).toBe('0LQ000000000001');
        });

        it('are the contact id if only the connection is given', async () => {
            const { ask, requests } = await salesforce({
                'POST /v1/supervisions': as(),
                [`GET /v1/supervisions/${ID}`]: as(),
                [`POST /v1/supervisions/${ID}/disconnect`]: left()
            });
            await ask('SUPERVISE_CALL', { connectionId: 'customer-1', callType: 'Inbound' });
            expect(requests[0].body).toEqual({ contactId: 'customer-1', mode: 'BARGE' });
            expect((await ask('SUPERVISOR_DISCONNECT', { connectionId: 'customer-1' }))[0].type).toBe('SUPERVISOR_HANGUP');
        });
    });

    describe('superviseCall', () => {
        it('starts, waits for the line and returns a valid result', async () => {
            const states = [as({ state: 'JOINING' }), as()];
            const { ask, requests } = await salesforce({
                'POST /v1/supervisions': as({ state: 'REQUESTED' }),
                [`GET /v1/supervisions/${ID}`]: () => states.shift() || as()
            });
            const [event] = await ask('SUPERVISE_CALL', CALL);
            expect(event.type).toBe('SUPERVISOR_CALL_CONNECTED');
            expect(event.payload).toBeInstanceOf(base.PhoneCall);
            expect(event.payload).toMatchObject({
                callId: 'customer-1',
                state: 'connected',
                callAttributes: { participantType: 'Supervisor', voiceCallId: '0LQ000000000001', hasSupervisorBargedIn: false }
            });
            expect(requests[0]).toEqual({
                method: 'POST',
                path: '/v1/supervisions',
                body: { contactId: 'customer-1', voiceCallId: '0LQ000000000001', mode: 'BARGE' },
                idempotencyKey: expect.stringMatching(/^listen-/)
            });
        });

        it.each([
            ['refused', { 'POST /v1/supervisions': refused('contact_limit_reached', 409) }],
            ['lost, which is not retried,', { 'POST /v1/supervisions': new TypeError('Failed to fetch') }],
            ['failed', { 'POST /v1/supervisions': as({ state: 'FAILED', failure: { code: 'join_timeout', detail: 'late', at: 'x' } }) }],
            ['not confirmed in time', { 'POST /v1/supervisions': as({ state: 'JOINING' }), 'GET *': as({ state: 'JOINING' }) }]
        ])('%s is an error', async (_what, answers) => {
            const { ask, requests } = await salesforce(answers);
            expect(await ask('SUPERVISE_CALL', CALL)).toEqual([{ type: 'ERROR', payload: { message: 'CAN_NOT_SUPERVISE_CALL' } }]);
            expect(requests.filter(({ method }) => method === 'POST')).toHaveLength(1);
        });
    });

    describe('supervisorBargeIn', () => {
        it('executes the directive and answers once there is evidence', async () => {
            const directive = nextAction({ kind: 'CHANGE_MODE_IN_CCP', mode: 'BARGE' });
            const legControl = { execute: jest.fn(async () => ({ outcome: 'DONE', at: '2026-08-04T17:42:00.000Z' })) };
            const looks = [as(), as({ mode: 'BARGE', hasBarged: true })];
            const { ask, requests } = await salesforce(
                {
                    'POST /v1/supervisors/me/tickets': TICKET,
                    'GET /v1/supervisions?*': { items: [as()], nextCursor: null },
                    [`POST /v1/supervisions/${ID}/mode`]: as({ nextAction: directive }),
                    [`POST /v1/supervisions/${ID}/acknowledgements`]: as(),
                    [`GET /v1/supervisions/${ID}`]: () => looks.shift() || as({ mode: 'BARGE' })
                },
                { legControl }
            );
            const [event] = await ask('SUPERVISOR_BARGE_IN', CALL);
            expect(event).toMatchObject({ type: 'SUPERVISOR_BARGED_IN', payload: { callAttributes: { hasSupervisorBargedIn: true } } });
            expect(legControl.execute).toHaveBeenCalledWith(directive, { stillWanted: expect.any(Function) });
            expect(requests.find(({ path }) => path.endsWith('/acknowledgements'))).toMatchObject({
                body: { directiveId: directive.directiveId, outcome: 'DONE' },
                idempotencyKey: `ack-${directive.directiveId}-DONE`
            });
        });

        it('without confirmation is an error', async () => {
            const { ask } = await salesforce({
                'POST /v1/supervisors/me/tickets': TICKET,
                'GET /v1/supervisions?*': { items: [as()], nextCursor: null },
                [`POST /v1/supervisions/${ID}/mode`]: as(),
                [`GET /v1/supervisions/${ID}`]: as()
            });
            expect(await ask('SUPERVISOR_BARGE_IN', CALL)).toEqual([
                { type: 'ERROR', payload: { message: 'CAN_NOT_BARGE_IN_SUPERVISOR' } }
            ]);
        });
    });

    describe('supervisorDisconnect', () => {
        it('of a call leaves it and answers once there is evidence', async () => {
            const looks = [as({ state: 'LEAVING' }), left()];
            const { ask, requests } = await salesforce({
                'POST /v1/supervisors/me/tickets': TICKET,
                'GET /v1/supervisions?*': { items: [as()], nextCursor: null },
                [`POST /v1/supervisions/${ID}/disconnect`]: as({ state: 'LEAVING' }),
                [`GET /v1/supervisions/${ID}`]: () => looks.shift() || left()
            });
            const [event] = await ask('SUPERVISOR_DISCONNECT', CALL);
            expect(event.type).toBe('SUPERVISOR_HANGUP');
            expect(event.payload).toHaveLength(1);
            expect(event.payload[0]).toMatchObject({ callId: 'customer-1', state: 'ended' });
            expect(requests.some(({ path }) => path.includes('contactId=customer-1'))).toBe(true);
        });

        it('without a call leaves the current supervision', async () => {
            const { ask, requests } = await salesforce({
                'POST /v1/supervisions': as(),
                'POST /v1/supervisors/me/disconnect': left()
            });
            await ask('SUPERVISE_CALL', CALL);
            // The base calls it without an argument before a supervisor takes a call of their own.
            const events = await ask('ACCEPT_CALL', { callId: 'next', callType: 'Inbound' });
            expect(events.map(({ type }) => type)).toEqual(['SUPERVISOR_HANGUP', 'CALL_CONNECTED']);
            expect(requests.at(-1).path).toBe('/v1/supervisors/me/disconnect');
        });

        it('without a call and nothing to leave is not an error', async () => {
            const { ask } = await salesforce({ 'POST /v1/supervisors/me/disconnect': refused('supervision_not_found', 404) });
            expect(await ask('SUPERVISOR_DISCONNECT')).toEqual([{ type: 'SUPERVISOR_HANGUP', payload: [] }]);
        });

        it('is retried with the same key until it is answered', async () => {
            const answers = [new TypeError('Failed to fetch'), refused('service_unavailable', 503), left()];
            const { ask, requests } = await salesforce({ 'POST /v1/supervisors/me/disconnect': () => answers.shift() });
            const [event] = await ask('SUPERVISOR_DISCONNECT');
            expect(event.type).toBe('SUPERVISOR_HANGUP');
            expect(requests).toHaveLength(3);
            expect(new Set(requests.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
        });

        it('without confirmation is an error, published when confirmed', async () => {
            let world = as({ state: 'LEAVING' });
            const { ask, events } = await salesforce({
                'POST /v1/supervisors/me/disconnect': () => world,
                [`GET /v1/supervisions/${ID}`]: () => world
            });
            expect(await ask('SUPERVISOR_DISCONNECT')).toEqual([
                { type: 'ERROR', payload: { message: 'CAN_NOT_DISCONNECT_SUPERVISOR' } }
            ]);
            const before = events().length;
            world = left();
            await new Promise((done) => setTimeout(done, 50));
            const [later] = events().slice(before);
            expect(later).toMatchObject({ type: 'SUPERVISOR_HANGUP', payload: [{ callId: 'customer-1', state: 'ended' }] });
        });

        it('rejected by the barge safety check is not retried', async () => {
            const { ask, requests } = await salesforce({
                'POST /v1/supervisors/me/disconnect': refused('barge_safety_conflict', 409)
            });
            expect((await ask('SUPERVISOR_DISCONNECT'))[0].type).toBe('ERROR');
            expect(requests).toHaveLength(1);
        });
    });

    describe('the supervision of a call', () => {
        const others = as({ id: 'others', supervisor: { connectUserId: 'somebody', username: 'bo', salesforceUserId: null } });
        const ticket = { ticket: 't', connectUserId: 'supervisor-1', expiresAt: new Date(Date.now() + 60000).toISOString() };

        it("is never another supervisor's, even if it is the only one", async () => {
            const { ask, requests } = await salesforce({
                'POST /v1/supervisors/me/tickets': ticket,
                'GET /v1/supervisions?*': { items: [others], nextCursor: null }
            });
            expect((await ask('SUPERVISOR_DISCONNECT', CALL))[0].type).toBe('ERROR');
            expect(requests.filter(({ path }) => path.endsWith('/disconnect'))).toEqual([]);
        });

        it("is the supervisor's own among several", async () => {
            const { ask, requests } = await salesforce({
                'POST /v1/supervisors/me/tickets': ticket,
                'GET /v1/supervisions?*': { items: [others, as()], nextCursor: null },
                [`POST /v1/supervisions/${ID}/disconnect`]: left()
            });
            expect((await ask('SUPERVISOR_DISCONNECT', CALL))[0].type).toBe('SUPERVISOR_HANGUP');
            expect(requests.filter(({ path }) => path.endsWith('/tickets'))).toHaveLength(1);
        });

        it('is searched again once the one started here has ended', async () => {
            const next = as({ id: 'next' });
            const { ask, requests } = await salesforce({
                'POST /v1/supervisions': as(),
                [`GET /v1/supervisions/${ID}`]: left(),
                'GET /v1/supervisions?*': { items: [next], nextCursor: null },
                'POST /v1/supervisions/next/disconnect': { ...left(), id: 'next' }
            });
            await ask('SUPERVISE_CALL', CALL);
            expect((await ask('SUPERVISOR_DISCONNECT', CALL))[0].type).toBe('SUPERVISOR_HANGUP');
            const left_ = requests.filter(({ path }) => path.endsWith('/disconnect')).map(({ path }) => path);
            expect(left_).toEqual(['/v1/supervisions/next/disconnect']);
            // The answer to superviseCall already contained the user id.
            expect(requests.some(({ path }) => path.endsWith('/tickets'))).toBe(false);
        });
    });

    describe('the directive in an answer', () => {
        const ticket = (offMs = 0) => ({ ticket: 't', connectUserId: 'supervisor-1', expiresAt: new Date(Date.now() + 60000 + offMs).toISOString() });
        const done = { outcome: 'DONE', at: '2026-08-04T17:43:47.000Z' };

        it('is acknowledged until accepted, while the leave continues', async () => {
            const answers = [new TypeError('Failed to fetch'), refused('service_unavailable', 503), as()];
            const looks = [as({ state: 'LEAVING' }), left()];
            const { ask, requests } = await salesforce(
                {
                    'POST /v1/supervisors/me/tickets': ticket,
                    'POST /v1/supervisors/me/disconnect': as({ state: 'LEAVING', nextAction: issued() }),
                    [`POST /v1/supervisions/${ID}/acknowledgements`]: () => answers.shift(),
                    [`GET /v1/supervisions/${ID}`]: () => looks.shift() || left()
                },
                { legControl: { execute: jest.fn(async () => done) } }
            );
            expect((await ask('SUPERVISOR_DISCONNECT'))[0].type).toBe('SUPERVISOR_HANGUP');
            await new Promise((over) => setTimeout(over, 80));
            const acks = requests.filter(({ path }) => path.endsWith('/acknowledgements'));
            expect(acks).toHaveLength(3);
            expect(new Set(acks.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
        });

        it('without an answer in time is watched until the leave is confirmed', async () => {
            let reachable = false;
            const { ask, events } = await salesforce(
                {
                    'POST /v1/supervisors/me/tickets': ticket,
                    'POST /v1/supervisors/me/disconnect': as({ state: 'LEAVING', nextAction: issued() }),
                    [`POST /v1/supervisions/${ID}/acknowledgements`]: new TypeError('Failed to fetch'),
                    [`GET /v1/supervisions/${ID}`]: () => (reachable ? left() : new TypeError('Failed to fetch'))
                },
                { legControl: { execute: async () => done } }
            );
            expect((await ask('SUPERVISOR_DISCONNECT'))[0].type).toBe('ERROR');
            const before = events().length;
            reachable = true;
            await new Promise((over) => setTimeout(over, 60));
            expect(events().slice(before).map(({ type }) => type)).toEqual(['SUPERVISOR_HANGUP']);
        });

        it('requested twice is carried out once', async () => {
            const same = issued();
            const legControl = { execute: jest.fn(async () => done) };
            const { ask } = await salesforce(
                {
                    'POST /v1/supervisors/me/tickets': ticket,
                    'POST /v1/supervisors/me/disconnect': as({ state: 'LEAVING', nextAction: same }),
                    [`POST /v1/supervisions/${ID}/acknowledgements`]: as(),
                    [`GET /v1/supervisions/${ID}`]: left()
                },
                { legControl }
            );
            await ask('SUPERVISOR_DISCONNECT');
            await ask('SUPERVISOR_DISCONNECT');
            expect(legControl.execute).toHaveBeenCalledTimes(1);
        });

        it("expires by the service's clock", async () => {
            const legControl = { execute: jest.fn(async () => done) };
            const { ask } = await salesforce(
                {
                    'POST /v1/supervisors/me/tickets': ticket(-3600000),
                    'POST /v1/supervisors/me/disconnect': as({ state: 'LEAVING', nextAction: issued() }),
                    [`POST /v1/supervisions/${ID}/acknowledgements`]: as(),
                    [`GET /v1/supervisions/${ID}`]: left()
                },
                { legControl }
            );
            await ask('SUPERVISOR_DISCONNECT');
            expect(Math.abs(legControl.now() - (Date.now() - 3600000))).toBeLessThan(2000);
        });

        it('is carried out by the components or the connector, not both', async () => {
            const locks = locksOfABrowser();
            const same = issued();
            const execute = jest.fn(() => new Promise((over) => setTimeout(() => over(done), 30)));
            const receiver = new DirectiveReceiver({
                settings: { deliveryMode: 'POLL', pollSeconds: 1000 },
                legControl: () => ({ execute }),
                apex: {
                    streamTicket: async () => ticket(),
                    directivesAfter: async () => ({ items: [], nextAfter: '0', channelKey: 'mine' }),
                    acknowledge: async () => as()
                },
                locks
            });
            await receiver.start();
            receiver.receive('directive', { ...same, act: true, eventId: '1' });
            const own = jest.fn(async () => done);
            const { ask } = await salesforce(
                {
                    'POST /v1/supervisors/me/tickets': ticket,
                    'POST /v1/supervisors/me/disconnect': as({ state: 'LEAVING', nextAction: same }),
                    [`GET /v1/supervisions/${ID}`]: left()
                },
                { legControl: { execute: own }, locks }
            );
            await ask('SUPERVISOR_DISCONNECT');
            expect([execute.mock.calls.length, own.mock.calls.length]).toEqual([1, 0]);
            receiver.stop();
            // Another directive for the same leg waits its turn too.
            expect(locks.requested).toEqual(expect.arrayContaining([`sidedoor.directive.${same.directiveId}`, `sidedoor.supervision.${ID}`]));
        });
    });
});

it('addSupervision names what is missing', () => {
    expect(() => addSupervision({}, { base: {}, send: async () => ({}) })).toThrow(/`base` must be the module @salesforce\/scv-connector-base/);
});

it('a directive does not wait for a missing ticket', async () => {
    const legControl = { execute: jest.fn(async () => ({ outcome: 'DONE', at: '2026-08-04T17:43:47.000Z' })) };
    const { carryOut } = directiveExecutor({
        legControl,
        isFinal: () => false,
        locks: null,
        ticketMs: 10,
        send: async (_method, path) => (path.endsWith('/tickets') ? new Promise(() => {}) : as())
    });
    await carryOut(as({ nextAction: issued() }));
    expect(legControl.execute).toHaveBeenCalledTimes(1);
});

it.each([
    ['3.x', { EVENT_TYPE: { SUPERVISOR_HANGUP: 'of 3' } }, 'of 3'],
    ['4.2', { EVENT_TYPE: { VOICE: { SUPERVISOR_HANGUP: 'of 4.2' } } }, 'of 4.2'],
    ['4.3.4 and later', { VOICE_EVENT_TYPE: { SUPERVISOR_HANGUP: 'of 4.3.4' } }, 'of 4.3.4']
])('a late hang-up is published by the name that %s has', async (_version, events, name) => {
    const [[, base]] = BASES;
    const published = [];
    const parts = { ...base, Constants: { ...base.Constants, EVENT_TYPE: undefined, ...events }, publishEvent: ({ eventType }) => published.push(eventType) };
    let world = as({ state: 'LEAVING' });
    const connector = addSupervision(connectorOf(base, {}), {
        base: parts,
        send: async () => world,
        withinMs: 10,
        lookEveryMs: 2,
        watchEveryMs: 2
    });
    await expect(connector.supervisorDisconnect()).rejects.toMatchObject({ code: 'confirmation_timeout' });
    world = left();
    await new Promise((done) => setTimeout(done, 30));
    expect(published).toEqual([name]);
});

describe('overFetch', () => {
    const answer = (status, json) => ({ ok: status < 300, status, json: async () => json });

    it('sends JSON with the key and the given headers, and reads the answer', async () => {
        const fetcher = jest.fn(async () => answer(202, { id: 'x' }));
        const send = overFetch(fetcher, 'https://partner.example/sidedoor/', async () => ({ Authorization: 'Bearer t' }));
        expect(await send('POST', '/v1/supervisions', { body: { a: 1 }, idempotencyKey: 'k' })).toEqual({ id: 'x' });
        const [url, init] = fetcher.mock.calls[0];
        expect(url).toBe('https://partner.example/sidedoor/v1/supervisions');
        expect(init).toMatchObject({
            method: 'POST',
            body: '{"a":1}',
            headers: { Authorization: 'Bearer t', 'Idempotency-Key': 'k', 'Content-Type': 'application/json' }
        });
    });

    it.each([
        [answer(409, { code: 'contact_limit_reached', detail: 'full' }), 'contact_limit_reached', 409],
        [{ ok: false, status: 502, json: async () => JSON.parse('<html>') }, null, 502]
    ])('failure %# gives code and status', async (given, code, status) => {
        const send = overFetch(async () => given, 'https://partner.example');
        await expect(send('GET', '/v1/vendors')).rejects.toMatchObject({ name: 'SidedoorError', code, status });
    });
});
