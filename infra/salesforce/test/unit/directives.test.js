/** The receiver of directives: by stream, by Platform Event and by polling; across reloads, lost answers and other tabs. */
const { DirectiveReceiver, Ledger, Memory, Backoff, ServiceClock, Problem, problemOf } = require('c/directives');
const { directive } = require('../support/directive');
const { locksOfABrowser } = require('../support/locks');

const problem = (code, status) => ({ body: { message: JSON.stringify({ code, title: code, detail: code, status }) } });
const offline = () => new TypeError('Failed to fetch');

/** Runs the receiver's timers a hundred times faster. */
const QUICK = { set: (f, ms) => setTimeout(f, ms / 100), clear: (t) => clearTimeout(t) };

class Storage {
    kept = new Map();
    getItem(name) {
        return this.kept.get(name) ?? null;
    }
    setItem(name, value) {
        this.kept.set(name, value);
    }
}

class FakeEventSource {
    static opened = [];
    constructor(url) {
        this.url = new URL(url);
        this.readyState = 0;
        this.listeners = {};
        FakeEventSource.opened.push(this);
    }
    addEventListener(name, f) {
        this.listeners[name] = f;
    }
    open() {
        this.readyState = 1;
        this.onopen();
    }
    say(name, data) {
        this.listeners[name]({ data: JSON.stringify(data), lastEventId: data.eventId });
    }
    break() {
        this.onerror();
    }
    close() {
        this.readyState = 2;
    }
}

const receivers = [];

function page(over = {}) {
    let tickets = 0;
    const apex = {
        streamTicket: jest.fn(async () => {
            tickets += 1;
            return { ticket: `t${tickets}`, connectUserId: 'sup-1', expiresAt: new Date(Date.now() + 60000).toISOString() };
        }),
        directivesAfter: jest.fn(async ({ after }) => ({ items: [], nextAfter: after || '0', channelKey: 'mine' })),
        acknowledge: jest.fn(async () => ({ id: 's' })),
        ...over.apex
    };
    const control = { execute: jest.fn(async () => ({ outcome: 'DONE', at: '2026-08-04T17:43:47.120Z' })), ...over.control };
    const events = [];
    const receiver = new DirectiveReceiver({
        settings: { deliveryMode: 'POLL', pollSeconds: 2, ...over.settings },
        legControl: () => (over.noControl ? null : control),
        onEvent: (event) => events.push(event),
        storage: over.storage || new Storage(),
        locks: over.locks,
        empApi: over.empApi,
        EventSource: FakeEventSource,
        timers: QUICK,
        backoff: { firstMs: 100, mostMs: 400 },
        apex
    });
    receivers.push(receiver);
    return { receiver, apex, control, events };
}

const later = (ms) => new Promise((done) => setTimeout(done, ms));
async function until(what) {
    for (let i = 0; i < 400; i += 1) {
        if (what()) {
            return;
        }
        await later(5);
    }
    throw new Error(`not in time: ${what}`);
}

beforeEach(() => {
    FakeEventSource.opened = [];
});
afterEach(() => {
    receivers.splice(0).forEach((receiver) => receiver.stop());
});

describe('polling', () => {
    it('sends that it acts, starts with what is open, continues after it', async () => {
        const open = directive({ eventId: '7' });
        const { receiver, apex, control } = page();
        apex.directivesAfter.mockImplementation(async ({ after }) =>
            after === null ? { items: [open], nextAfter: '9', channelKey: 'mine' } : { items: [], nextAfter: '9', channelKey: 'mine' }
        );
        receiver.setBusy(true);
        await receiver.start();
        await until(() => apex.acknowledge.mock.calls.length === 1);
        expect(apex.directivesAfter.mock.calls[0][0]).toMatchObject({ after: null, acts: true });
        await until(() => apex.directivesAfter.mock.calls.length >= 4);
        expect(apex.directivesAfter.mock.calls[3][0]).toMatchObject({ after: '9', acts: true });
        expect(control.execute).toHaveBeenCalledTimes(1);
        expect(apex.acknowledge).toHaveBeenCalledWith({
            supervisionId: open.supervisionId,
            directiveId: open.directiveId,
            outcome: 'DONE',
            at: '2026-08-04T17:43:47.120Z',
            detail: null,
            requestKey: `ack-${open.directiveId}-DONE`
        });
    });

    it('continues at the same place after a lost answer', async () => {
        const { receiver, apex } = page();
        apex.directivesAfter
            .mockResolvedValueOnce({ items: [], nextAfter: '5', channelKey: 'mine' })
            .mockRejectedValueOnce(offline())
            .mockResolvedValue({ items: [], nextAfter: '5', channelKey: 'mine' });
        receiver.setBusy(true);
        await receiver.start();
        await until(() => apex.directivesAfter.mock.calls.length >= 3);
        expect(apex.directivesAfter.mock.calls[2][0].after).toBe('5');
    });

    it('without a CCP sends that it does not act and executes nothing', async () => {
        const { receiver, apex } = page({ noControl: true });
        apex.directivesAfter.mockResolvedValue({ items: [directive()], nextAfter: '1', channelKey: 'mine' });
        await receiver.start();
        await until(() => apex.directivesAfter.mock.calls.length >= 1);
        expect(apex.directivesAfter.mock.calls[0][0].acts).toBe(false);
        expect(apex.acknowledge).not.toHaveBeenCalled();
    });

    it('sends the same tab name with every poll, only if it can act', async () => {
        const polls = async (over, times) => {
            const { receiver, apex } = page(over);
            receiver.setBusy(true);
            await receiver.start();
            await until(() => apex.directivesAfter.mock.calls.length >= times);
            receiver.stop();
            return new Set(apex.directivesAfter.mock.calls.map(([{ tab }]) => tab));
        };
        const [tab, ...others] = await polls({}, 3);
        expect(others).toEqual([]);
        expect(tab).toMatch(/^[A-Za-z0-9_-]{16,64}$/);
        expect(await polls({}, 2)).toEqual(new Set([tab]));
        expect(await polls({ noControl: true }, 2)).toEqual(new Set([null]));
    });

    it.each([['with'], ['without']])('has a new tab name after a reload, %s crypto.randomUUID', (how) => {
        const tabs = new Set();
        const whole = Object.getOwnPropertyDescriptor(global, 'crypto');
        Object.defineProperty(global, 'crypto', {
            configurable: true,
            value: how === 'with' ? { randomUUID: () => require('node:crypto').randomUUID() } : undefined
        });
        try {
            for (let i = 0; i < 5; i += 1) {
                jest.isolateModules(() => tabs.add(jest.requireActual('../../force-app/main/default/lwc/directives/tab.js').TAB));
            }
        } finally {
            delete global.crypto;
            if (whole) {
                Object.defineProperty(global, 'crypto', whole);
            }
        }
        expect(tabs.size).toBe(5);
        tabs.forEach((tab) => expect(tab).toMatch(/^[A-Za-z0-9_-]{16,64}$/));
    });

    it('executes only directives with act', async () => {
        const { receiver, apex, control, events } = page();
        apex.directivesAfter.mockResolvedValue({ items: [directive({ act: false })], nextAfter: '1', channelKey: 'mine' });
        await receiver.start();
        await until(() => events.some(({ name }) => name === 'directive'));
        await later(20);
        expect(control.execute).not.toHaveBeenCalled();
    });
});

describe('Platform Events', () => {
    function empApi() {
        const api = { unsubscribe: jest.fn() };
        api.subscribe = jest.fn(async (channel, _replay, f) => {
            api.say = (key) => f({ data: { payload: { Stream_Key__c: key } } });
            return { channel };
        });
        return api;
    }

    const settings = { deliveryMode: 'EMP_API', eventChannel: '/event/Supervisor_Directive__e', pollSeconds: 1000 };

    it('polls only on events with the own channel key', async () => {
        const api = empApi();
        const { receiver, apex } = page({ empApi: api, settings });
        await receiver.start();
        receiver.setBusy(true);
        await until(() => apex.directivesAfter.mock.calls.length === 2 && receiver.channelKey === 'mine');
        apex.directivesAfter.mockClear();
        expect(api.subscribe).toHaveBeenCalledTimes(1);
        expect(api.subscribe.mock.calls[0].slice(0, 2)).toEqual(['/event/Supervisor_Directive__e', -1]);
        api.say('another');
        await later(20);
        expect(apex.directivesAfter).not.toHaveBeenCalled();
        api.say('mine');
        api.say('mine');
        await until(() => apex.directivesAfter.mock.calls.length >= 1);
        await later(20);
        // Three events at once lead to one poll, and to another one for what arrived meanwhile.
        expect(apex.directivesAfter.mock.calls.length).toBeLessThanOrEqual(2);
        receiver.stop();
        expect(api.unsubscribe).toHaveBeenCalledTimes(1);
    });

    it('are subscribed only while the supervisor is on a call', async () => {
        const api = empApi();
        const { receiver } = page({ empApi: api, settings });
        await receiver.start();
        await later(20);
        expect(api.subscribe).not.toHaveBeenCalled();
        receiver.setBusy(true);
        receiver.setBusy(true);
        await later(20);
        expect(api.subscribe).toHaveBeenCalledTimes(1);
        receiver.setBusy(false);
        expect(api.unsubscribe).toHaveBeenCalledTimes(1);
        receiver.setBusy(true);
        receiver.setBusy(false);
        await later(20);
        // A subscription that was granted after the end of the call is given back.
        expect(api.subscribe).toHaveBeenCalledTimes(2);
        expect(api.unsubscribe).toHaveBeenCalledTimes(2);
        receiver.stop();
        expect(api.unsubscribe).toHaveBeenCalledTimes(2);
    });
});

describe('polling at rest', () => {
    it('reads once at the start and then only while the supervisor is on a call', async () => {
        const { receiver, apex } = page();
        await receiver.start();
        // Many poll intervals, because the timers of these tests run fast.
        await later(200);
        expect(apex.directivesAfter).toHaveBeenCalledTimes(1);
        receiver.setBusy(true);
        await until(() => apex.directivesAfter.mock.calls.length >= 4);
        receiver.setBusy(false);
        await later(20);
        const read = apex.directivesAfter.mock.calls.length;
        await later(200);
        expect(apex.directivesAfter).toHaveBeenCalledTimes(read);
    });
});

describe('stream', () => {
    const settings = { deliveryMode: 'SSE', streamUrl: 'https://sidedoor.example/', pollSeconds: 1000 };

    it('opens with a ticket, reconnects with another and the last event', async () => {
        const { receiver, control, apex } = page({ settings });
        await receiver.start();
        await until(() => FakeEventSource.opened.length === 1);
        const [first] = FakeEventSource.opened;
        expect(first.url.pathname).toBe('/v1/supervisors/sup-1/directives');
        expect(first.url.searchParams.get('after')).toBeNull();
        first.open();
        const issued = directive({ eventId: '41' });
        first.say('directive', issued);
        first.say('directive', issued);
        await until(() => apex.acknowledge.mock.calls.length === 1);
        expect(control.execute).toHaveBeenCalledTimes(1);
        first.break();
        await until(() => FakeEventSource.opened.length === 2);
        const [, second] = FakeEventSource.opened;
        expect(second.url.searchParams.get('ticket')).not.toBe(first.url.searchParams.get('ticket'));
        expect(second.url.searchParams.get('after')).toBe('41');
        // While the stream is down, the page polls.
        expect(apex.directivesAfter).toHaveBeenCalled();
        // Events of a closed stream are ignored.
        first.say('directive', directive());
        await later(20);
        expect(control.execute).toHaveBeenCalledTimes(1);
    });

    it('only watches without a CCP and reopens once there is one', async () => {
        const over = { settings, noControl: true };
        const { receiver, control } = page(over);
        await receiver.start();
        await until(() => FakeEventSource.opened.length === 1);
        expect(FakeEventSource.opened[0].url.searchParams.get('acts')).toBe('false');
        FakeEventSource.opened[0].open();
        over.noControl = false;
        receiver.controlChanged();
        await until(() => FakeEventSource.opened.length === 2);
        expect(FakeEventSource.opened[0].readyState).toBe(2);
        expect(FakeEventSource.opened[1].url.searchParams.get('acts')).toBeNull();
        FakeEventSource.opened[1].open();
        FakeEventSource.opened[1].say('directive', directive());
        await until(() => control.execute.mock.calls.length === 1);
    });

    it('that never opened only watches until one opens', async () => {
        const { receiver, apex } = page({ settings });
        await receiver.start();
        await until(() => FakeEventSource.opened.length === 1);
        FakeEventSource.opened[0].break();
        await until(() => FakeEventSource.opened.length === 2);
        expect(FakeEventSource.opened[1].url.searchParams.get('acts')).toBe('false');
        expect(apex.directivesAfter.mock.calls[0][0].acts).toBe(true);
        FakeEventSource.opened[1].open();
        await until(() => FakeEventSource.opened.length === 3);
        expect(FakeEventSource.opened[2].url.searchParams.get('acts')).toBeNull();
        FakeEventSource.opened[2].open();
        // A stream that opened and broke later still acts.
        FakeEventSource.opened[2].break();
        await until(() => FakeEventSource.opened.length === 4);
        expect(FakeEventSource.opened[3].url.searchParams.get('acts')).toBeNull();
    });

    it('retries with growing waits without a ticket', async () => {
        const { receiver, apex } = page({ settings });
        apex.streamTicket.mockRejectedValue(offline());
        await receiver.start();
        await until(() => apex.streamTicket.mock.calls.length >= 4);
        expect(FakeEventSource.opened).toHaveLength(0);
    });
});

describe('an acknowledgement', () => {
    it('is retried with the same key until the service has it', async () => {
        const { receiver, apex, control } = page();
        apex.acknowledge.mockRejectedValueOnce(offline()).mockRejectedValueOnce(problem('service_unavailable', 503)).mockResolvedValue({});
        receiver.stopped = false;
        receiver.receive('directive', directive());
        await until(() => apex.acknowledge.mock.calls.length === 3);
        await later(30);
        expect(apex.acknowledge).toHaveBeenCalledTimes(3);
        expect(new Set(apex.acknowledge.mock.calls.map(([body]) => body.requestKey)).size).toBe(1);
        expect(control.execute).toHaveBeenCalledTimes(1);
        expect(receiver.memory.unacknowledged()).toEqual([]);
    });

    it('is not retried after a final rejection', async () => {
        const { receiver, apex, events } = page();
        apex.acknowledge.mockRejectedValue(problem('directive_not_found', 404));
        receiver.stopped = false;
        receiver.receive('directive', directive());
        await until(() => events.some(({ name }) => name === 'acknowledgementRejected'));
        await later(30);
        expect(apex.acknowledge).toHaveBeenCalledTimes(1);
    });

    it.each(['REFUSED', 'FAILED', 'ALREADY_GONE'])('sends %s with its detail', async (outcome) => {
        const { receiver, apex } = page({ control: { execute: async () => ({ outcome, at: 'x', detail: 'why' }) } });
        receiver.stopped = false;
        receiver.receive('directive', directive());
        await until(() => apex.acknowledge.mock.calls.length === 1);
        expect(apex.acknowledge.mock.calls[0][0]).toMatchObject({ outcome, detail: 'why' });
    });
});

describe('a directive that the CCP failed to carry out', () => {
    it('is retried a few times, but a refusal is not', async () => {
        const execute = jest
            .fn()
            .mockResolvedValueOnce({ outcome: 'FAILED', at: 'x' })
            .mockResolvedValueOnce({ outcome: 'DONE', at: 'y' });
        const { receiver, apex } = page({ control: { execute } });
        receiver.stopped = false;
        receiver.receive('directive', directive());
        await until(() => apex.acknowledge.mock.calls.length === 1);
        expect(apex.acknowledge.mock.calls[0][0]).toMatchObject({ outcome: 'DONE', at: 'y' });
        execute.mockReset().mockResolvedValue({ outcome: 'FAILED', at: 'x' });
        receiver.receive('directive', directive());
        await until(() => apex.acknowledge.mock.calls.length === 2);
        expect(execute).toHaveBeenCalledTimes(3);
        execute.mockReset().mockResolvedValue({ outcome: 'REFUSED', at: 'x' });
        receiver.receive('directive', directive());
        await until(() => apex.acknowledge.mock.calls.length === 3);
        expect(execute).toHaveBeenCalledTimes(1);
    });
});

describe('a directive that is no longer wanted', () => {
    it('is neither retried nor acknowledged once withdrawn', async () => {
        const first = directive({ kind: 'CHANGE_MODE_IN_CCP', mode: 'BARGE' });
        const second = directive({ kind: 'CHANGE_MODE_IN_CCP', mode: 'SILENT' });
        const executed = [];
        const execute = jest.fn(async ({ directiveId }) => {
            executed.push(directiveId);
            if (directiveId === first.directiveId) {
                // Meanwhile the supervisor has switched to silent.
                receiver.receive('settled', { ...first, status: 'WITHDRAWN' });
                receiver.receive('directive', second);
            }
            return { outcome: directiveId === first.directiveId ? 'FAILED' : 'DONE', at: 'x' };
        });
        const { receiver, apex } = page({ control: { execute } });
        receiver.stopped = false;
        receiver.receive('directive', first);
        await until(() => apex.acknowledge.mock.calls.length === 1);
        await later(40);
        expect(executed).toEqual([first.directiveId, second.directiveId]);
        expect(apex.acknowledge.mock.calls.map(([body]) => body.directiveId)).toEqual([second.directiveId]);
    });

    it('is refused after a newer one of its supervision, in any order', async () => {
        const old = directive({ issuedAt: new Date(Date.now() - 5000).toISOString() });
        const execute = jest.fn(async () => ({ outcome: 'DONE', at: 'x' }));
        const { receiver, apex } = page({ control: { execute } });
        receiver.stopped = false;
        const newer = directive();
        receiver.receive('directive', newer);
        receiver.receive('directive', old);
        await until(() => apex.acknowledge.mock.calls.length === 2);
        expect(execute.mock.calls.map(([{ directiveId }]) => directiveId)).toEqual([newer.directiveId]);
        expect(apex.acknowledge.mock.calls[1][0]).toMatchObject({ directiveId: old.directiveId, outcome: 'REFUSED', detail: 'not_open' });
    });

    it('is polled for before a retry without a stream', async () => {
        const issued = directive();
        const execute = jest.fn(async () => ({ outcome: 'FAILED', at: 'x' }));
        const { receiver, apex } = page({ control: { execute }, settings: { pollSeconds: 1000 } });
        apex.directivesAfter
            .mockResolvedValueOnce({ items: [issued], nextAfter: '1', channelKey: 'mine' })
            .mockResolvedValueOnce({ items: [], nextAfter: '1', channelKey: 'mine' })
            .mockResolvedValue({ items: [{ ...issued, status: 'WITHDRAWN' }], nextAfter: '2', channelKey: 'mine' });
        await receiver.start();
        await until(() => execute.mock.calls.length === 1 && apex.directivesAfter.mock.calls.length >= 3);
        await later(40);
        expect(execute).toHaveBeenCalledTimes(1);
        expect(apex.acknowledge).not.toHaveBeenCalled();
    });

    it('passes stillWanted to leg control', async () => {
        let stillWanted;
        const issued = directive();
        const { receiver } = page({
            control: {
                execute: async (_directive, options) => {
                    stillWanted = options.stillWanted;
                    return { outcome: 'DONE', at: 'x' };
                }
            }
        });
        receiver.stopped = false;
        receiver.receive('directive', issued);
        await until(() => stillWanted);
        expect(stillWanted()).toBe(true);
        receiver.receive('settled', { ...issued, status: 'WITHDRAWN' });
        expect(stillWanted()).toBe(false);
    });

    it('of one supervision waits its turn, of another one does not', async () => {
        const running = new Set();
        let most = 0;
        const execute = jest.fn(async ({ directiveId }) => {
            running.add(directiveId);
            most = Math.max(most, running.size);
            await later(15);
            running.delete(directiveId);
            return { outcome: 'DONE', at: 'x' };
        });
        const { receiver, apex } = page({ control: { execute } });
        receiver.stopped = false;
        receiver.receive('directive', directive());
        await until(() => running.size === 1);
        receiver.receive('directive', directive());
        await until(() => apex.acknowledge.mock.calls.length === 2);
        expect(most).toBe(1);
        receiver.receive('directive', directive({ supervisionId: 'one' }));
        receiver.receive('directive', directive({ supervisionId: 'two' }));
        await until(() => apex.acknowledge.mock.calls.length === 4);
        expect(most).toBe(2);
    });

    it('is remembered up to a limit', () => {
        const ledger = new Ledger();
        const many = Array.from({ length: 500 }, (_, i) => directive({ supervisionId: `s-${i}`, status: 'WITHDRAWN' }));
        many.forEach((one) => ledger.update(one));
        expect([ledger.closed.size, ledger.newest.size]).toEqual([200, 200]);
        expect(ledger.isWanted(many.at(-1).directiveId)).toBe(false);
    });
});

describe('open directives are read again', () => {
    it('when the page gets a CCP during a poll', async () => {
        const over = { noControl: true, settings: { pollSeconds: 1000 } };
        const { receiver, apex, control } = page(over);
        const issued = directive({ eventId: '7' });
        const answers = [];
        apex.directivesAfter.mockImplementation(
            ({ after, acts }) =>
                new Promise((done) =>
                    answers.push(() => done({ items: after ? [] : [{ ...issued, act: acts }], nextAfter: '7', channelKey: 'mine' }))
                )
        );
        await receiver.start();
        await until(() => answers.length === 1);
        over.noControl = false;
        receiver.controlChanged();
        answers.shift()();
        await until(() => answers.length === 1);
        expect(apex.directivesAfter.mock.calls[1][0]).toMatchObject({ after: null, acts: true });
        answers.shift()();
        await until(() => control.execute.mock.calls.length === 1);
    });

    it('from the start, also after that poll was lost', async () => {
        const { receiver, apex } = page({ settings: { pollSeconds: 2 } });
        receiver.setBusy(true);
        await receiver.start();
        await until(() => apex.directivesAfter.mock.calls.length >= 2);
        apex.directivesAfter.mockRejectedValueOnce(offline());
        receiver.controlChanged();
        const from = apex.directivesAfter.mock.calls.length - 1;
        await until(() => apex.directivesAfter.mock.calls.length >= from + 2);
        expect(apex.directivesAfter.mock.calls.slice(from, from + 2).map(([{ after }]) => after)).toEqual([null, null]);
    });

    it('while they are open and another page should act', async () => {
        const { receiver, apex, control } = page({ settings: { pollSeconds: 1000 } });
        const issued = directive({ eventId: '7' });
        let looks = 0;
        apex.directivesAfter.mockImplementation(async ({ after }) => {
            looks += after === null ? 1 : 0;
            return { items: after === null ? [{ ...issued, act: looks >= 3 }] : [], nextAfter: '7', channelKey: 'mine' };
        });
        await receiver.start();
        await until(() => control.execute.mock.calls.length === 1);
        expect(looks).toBe(3);
        await until(() => apex.acknowledge.mock.calls.length === 1);
        await later(150);
        expect(looks).toBe(3);
    });

    it('not once they are settled, nor without a CCP', async () => {
        const { receiver, apex } = page({ settings: { pollSeconds: 1000 } });
        const issued = directive({ act: false });
        apex.directivesAfter.mockImplementation(async ({ after }) => ({ items: after ? [] : [issued], nextAfter: '7', channelKey: 'mine' }));
        await receiver.start();
        await until(() => apex.directivesAfter.mock.calls.length >= 2);
        receiver.receive('settled', { ...issued, status: 'DONE' });
        const polls = apex.directivesAfter.mock.calls.length;
        await later(150);
        expect(apex.directivesAfter.mock.calls.length).toBe(polls);
        const watching = page({ noControl: true, settings: { pollSeconds: 1000 } });
        watching.apex.directivesAfter.mockImplementation(apex.directivesAfter.getMockImplementation());
        await watching.receiver.start();
        await later(150);
        expect(watching.apex.directivesAfter.mock.calls.length).toBe(2);
    });

    it('by the tab that found another one executing, if that one ends', async () => {
        const locks = locksOfABrowser();
        const issued = directive();
        const never = page({ locks, control: { execute: () => new Promise(() => {}) } });
        never.receiver.stopped = false;
        never.receiver.receive('directive', issued);
        const second = page({ locks, settings: { pollSeconds: 1000 } });
        let looks = 0;
        second.apex.directivesAfter.mockImplementation(async ({ after }) => {
            looks += after === null ? 1 : 0;
            return { items: after === null ? [issued] : [], nextAfter: '7', channelKey: 'mine' };
        });
        await second.receiver.start();
        await until(() => looks >= 3);
        expect(second.control.execute).not.toHaveBeenCalled();
        // The browser releases the locks of a closed tab.
        locks.free();
        await until(() => second.control.execute.mock.calls.length === 1);
    });
});

describe("the service's clock", () => {
    it('is requested again until a ticket comes, which also restores the stored outcomes', async () => {
        const storage = new Storage();
        new Memory(storage, 'sup-1').store({ directiveId: 'd', supervisionId: 's', outcome: 'DONE', at: 'x' });
        const { receiver, apex } = page({ storage });
        const ticket = apex.streamTicket.getMockImplementation();
        apex.streamTicket.mockReset().mockRejectedValueOnce(offline()).mockRejectedValueOnce(offline()).mockImplementation(ticket);
        await receiver.start();
        expect(receiver.clock.known).toBe(false);
        await until(() => apex.acknowledge.mock.calls.length === 1);
        expect(receiver.clock.known).toBe(true);
        expect(receiver.connectUserId).toBe('sup-1');
        expect(apex.acknowledge.mock.calls[0][0].directiveId).toBe('d');
        await later(40);
        expect(apex.streamTicket).toHaveBeenCalledTimes(3);
    });

    it('delays no directive for long if there is no ticket', async () => {
        const { receiver, apex, control } = page();
        apex.streamTicket.mockImplementation(() => new Promise(() => {}));
        apex.directivesAfter.mockResolvedValueOnce({ items: [directive()], nextAfter: '1', channelKey: 'mine' });
        await receiver.start();
        await until(() => control.execute.mock.calls.length === 1);
        await until(() => apex.acknowledge.mock.calls.length === 1);
    });

    it('is needed for a refusal because of expiry', async () => {
        const execute = jest
            .fn()
            .mockResolvedValueOnce({ outcome: 'REFUSED', reason: 'expired', at: 'x' })
            .mockResolvedValue({ outcome: 'DONE', at: 'y' });
        const { receiver, apex } = page({ control: { execute }, settings: { pollSeconds: 1000 } });
        apex.streamTicket.mockRejectedValue(offline());
        const issued = directive();
        apex.directivesAfter.mockImplementation(async ({ after }) => ({ items: after ? [] : [issued], nextAfter: '7', channelKey: 'mine' }));
        await receiver.start();
        await until(() => apex.acknowledge.mock.calls.length === 1);
        expect(apex.acknowledge.mock.calls[0][0].outcome).toBe('DONE');
    });
});

describe('over a reload', () => {
    it('repeats the acknowledgement, not the action', async () => {
        const storage = new Storage();
        const issued = directive();
        const before = page({ storage });
        before.apex.acknowledge.mockRejectedValue(offline());
        before.apex.directivesAfter.mockResolvedValue({ items: [issued], nextAfter: '1', channelKey: 'mine' });
        await before.receiver.start();
        await until(() => before.apex.acknowledge.mock.calls.length >= 1);
        before.receiver.stop();

        const after = page({ storage });
        after.apex.directivesAfter.mockResolvedValue({ items: [issued], nextAfter: '1', channelKey: 'mine' });
        await after.receiver.start();
        await until(() => after.apex.acknowledge.mock.calls.length >= 1);
        await later(30);
        expect(after.control.execute).not.toHaveBeenCalled();
        const bodies = (calls) => calls.map(([body]) => body);
        expect(bodies(after.apex.acknowledge.mock.calls)[0]).toEqual(bodies(before.apex.acknowledge.mock.calls)[0]);
    });

    it('carries out what was received but not started', async () => {
        const storage = new Storage();
        const issued = directive();
        const before = page({ storage, control: { execute: () => new Promise(() => {}) } });
        before.apex.directivesAfter.mockResolvedValue({ items: [issued], nextAfter: '1', channelKey: 'mine' });
        await before.receiver.start();
        await later(20);
        before.receiver.stop();
        const after = page({ storage });
        after.apex.directivesAfter.mockResolvedValue({ items: [issued], nextAfter: '1', channelKey: 'mine' });
        await after.receiver.start();
        await until(() => after.apex.acknowledge.mock.calls.length === 1);
        expect(after.apex.directivesAfter.mock.calls[0][0].after).toBeNull();
        expect(after.control.execute).toHaveBeenCalledTimes(1);
    });

    it("keeps the memory of another user apart", () => {
        const storage = new Storage();
        new Memory(storage, 'sup-1').store({ directiveId: 'd', outcome: 'DONE' });
        expect(new Memory(storage, 'sup-2').unacknowledged()).toEqual([]);
        expect(new Memory(storage, 'sup-1').unacknowledged()).toHaveLength(1);
    });

    it('remembers outcomes up to a limit, also without storage', () => {
        const memory = new Memory(null, 'sup-1');
        for (let i = 0; i < 200; i += 1) {
            memory.store({ directiveId: String(i), outcome: 'DONE' });
        }
        expect(memory.unacknowledged()).toHaveLength(50);
        expect(memory.outcomeOf('199')).not.toBeNull();
    });
});

it('only one of two tabs of a browser acts', async () => {
    const locks = locksOfABrowser();
    const execute = jest.fn(() => later(30).then(() => ({ outcome: 'DONE', at: 'x' })));
    const tabs = [page({ locks, control: { execute } }), page({ locks, control: { execute } })];
    const issued = directive();
    tabs.forEach(({ receiver }) => {
        receiver.stopped = false;
        receiver.receive('directive', issued);
    });
    await later(80);
    expect(execute).toHaveBeenCalledTimes(1);
});

it("judges expiry by the service's clock", async () => {
    const clock = new ServiceClock(() => 1000000);
    clock.learn(new Date(5060000).toISOString(), 999900, 1000100);
    expect(clock.now()).toBe(5000000);
    const { receiver, control, apex } = page();
    apex.streamTicket.mockImplementation(async () => ({
        ticket: 't',
        connectUserId: 'sup-1',
        expiresAt: new Date(Date.now() + 60000 - 3600000).toISOString()
    }));
    apex.directivesAfter.mockResolvedValue({ items: [directive()], nextAfter: '1', channelKey: 'mine' });
    await receiver.start();
    await until(() => control.execute.mock.calls.length === 1);
    expect(Math.abs(control.now() - (Date.now() - 3600000))).toBeLessThan(2000);
});

describe('problems', () => {
    it.each([
        [problem('barge_safety_conflict', 409), 'barge_safety_conflict', true, false],
        [problem('idempotency_key_conflict', 409), 'idempotency_key_conflict', false, false],
        [problem('rate_limit_reached', 429), 'rate_limit_reached', false, false],
        [problem('internal', 500), 'internal', false, false],
        [{ body: { message: 'Read timed out' } }, null, false, true],
        [offline(), null, false, true],
        [{ body: [{ message: 'odd' }] }, null, false, true],
        [undefined, null, false, true]
    ])('error %# is read', (thrown, code, final, unanswered) => {
        const read = problemOf(thrown);
        expect(read).toBeInstanceOf(Problem);
        expect({ code: read.code, final: read.final, unanswered: read.unanswered }).toEqual({ code, final, unanswered });
        expect(problemOf(read)).toBe(read);
    });
});

it('back-off waits are jittered and bounded', () => {
    const backoff = new Backoff({ firstMs: 500, mostMs: 30000, random: () => 1 });
    const waits = Array.from({ length: 10 }, () => backoff.next());
    expect(waits.slice(0, 3)).toEqual([500, 1000, 2000]);
    expect(Math.max(...waits)).toBe(30000);
    backoff.reset();
    expect(backoff.next()).toBe(500);
    expect(new Backoff({ random: () => 0 }).next()).toBe(250);
});
