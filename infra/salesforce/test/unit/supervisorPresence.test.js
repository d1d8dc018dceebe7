/** The component on a record page: what it offers, what it says, what it sends, and what it never sends. */
import { createElement } from 'lwc';
import { getRecord } from 'lightning/uiRecordApi';
import SupervisorPresence from 'c/supervisorPresence';
import { registerLegControl } from 'c/legControl';
import settings from '@salesforce/apex/SidedoorController.settings';
import presence from '@salesforce/apex/SidedoorController.presence';
import listen from '@salesforce/apex/SidedoorController.listen';
import changeMode from '@salesforce/apex/SidedoorController.changeMode';
import disconnect from '@salesforce/apex/SidedoorController.disconnect';
import disconnectMine from '@salesforce/apex/SidedoorController.disconnectMine';
import directivesAfter from '@salesforce/apex/SidedoorController.directivesAfter';
import acknowledge from '@salesforce/apex/SidedoorController.acknowledge';
import streamTicket from '@salesforce/apex/SidedoorController.streamTicket';
import { supervision, departure, nextAction } from '../support/supervision';
import { directive } from '../support/directive';

jest.mock('@salesforce/apex/SidedoorController.settings', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.presence', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.listen', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.changeMode', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnect', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnectMine', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.directivesAfter', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.acknowledge', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.streamTicket', () => ({ default: jest.fn() }), { virtual: true });

const CONTACT = 'customer-1';
const apexProblem = (code, status, detail = code) => ({
    body: { message: JSON.stringify({ code, title: code, detail, status }) }
});
const lost = () => ({ body: { message: 'Read timed out' }, statusText: 'Server Error' });

let online = true;
Object.defineProperty(window.navigator, 'onLine', { configurable: true, get: () => online });

/** What the service has now; every look is answered from it. */
let world;

beforeEach(() => {
    jest.useFakeTimers();
    online = true;
    world = { supervisions: [], mySupervisionId: null };
    window.sessionStorage.clear();
    settings.mockResolvedValue({ deliveryMode: 'POLL', eventChannel: null, streamUrl: null, pollSeconds: 10 });
    presence.mockImplementation(async () => ({ ...world }));
    directivesAfter.mockResolvedValue({ items: [], nextAfter: '0', streamKey: 'mine' });
    streamTicket.mockImplementation(async () => ({
        ticket: 't',
        connectUserId: 'supervisor-1',
        expiresAt: new Date(Date.now() + 60000).toISOString()
    }));
});

afterEach(() => {
    while (document.body.firstChild) {
        document.body.removeChild(document.body.firstChild);
    }
    registerLegControl(null);
    jest.clearAllMocks();
    jest.useRealTimers();
});

async function settle() {
    for (let i = 0; i < 20; i += 1) {
        await Promise.resolve();
    }
}

async function pass(ms) {
    await jest.advanceTimersByTimeAsync(ms);
    await settle();
}

async function show(over = {}) {
    const element = createElement('c-supervisor-presence', { is: SupervisorPresence });
    Object.assign(element, { contactId: CONTACT, timeZone: 'UTC', ...over });
    document.body.appendChild(element);
    await settle();
    const get = (id) => element.shadowRoot.querySelector(`[data-id="${id}"]`);
    const text = (id) => (get(id) ? get(id).textContent.trim() : null);
    const steps = () =>
        [...element.shadowRoot.querySelectorAll('[data-step]')].map((li) => [li.dataset.step, li.dataset.status]);
    const press = async (id) => {
        get(id).click();
        await settle();
    };
    return { element, get, text, steps, press };
}

function mine(s) {
    world = { supervisions: [s], mySupervisionId: s.id };
}

describe('before listening', () => {
    it('says that nobody listens, and offers to', async () => {
        const { text, get } = await show();
        expect(text('summary')).toBe('You are not on this call.');
        expect(text('nobody')).toBe('No supervisor is on this call.');
        expect(get('listen')).not.toBeNull();
        expect(get('disconnect')).toBeNull();
        expect(get('modes')).toBeNull();
    });

    it('listens silently, with the VoiceCall of the page and a key of its own', async () => {
        listen.mockResolvedValue(supervision({ state: 'JOINING', joinedAt: null, recording: null }));
        const { press, text, steps } = await show({ voiceCallId: '0LQ000000000001' });
        mine(supervision({ state: 'JOINING', joinedAt: null, recording: null }));
        await press('listen');
        expect(listen).toHaveBeenCalledTimes(1);
        expect(listen.mock.calls[0][0]).toEqual({
            contactId: CONTACT,
            voiceCallId: '0LQ000000000001',
            mode: 'SILENT',
            leaveCurrent: false,
            requestKey: expect.stringMatching(/^listen-.{8,}/)
        });
        expect(text('summary')).toBe('Your request to listen is accepted. You are not connected yet.');
        expect(steps()).toEqual([['accepted', 'done'], ['confirmed', 'waiting'], ['recorded', 'waiting']]);
    });

    it('has speaking granted at the start only where the page allows it and the supervisor wants it', async () => {
        listen.mockResolvedValue(supervision());
        const { press, get } = await show({ allowBarge: true });
        get('may-speak').checked = true;
        get('may-speak').dispatchEvent(new CustomEvent('change'));
        await press('listen');
        expect(listen.mock.calls[0][0].mode).toBe('BARGE');
        expect((await show()).get('may-speak')).toBeNull();
    });

    it('offers to switch when they are on another call, or to leave that one', async () => {
        listen.mockRejectedValueOnce(apexProblem('supervisor_busy', 409)).mockResolvedValue(supervision());
        const { press, get } = await show();
        await press('listen');
        expect(get('busy-elsewhere')).not.toBeNull();
        await press('switch');
        expect(listen.mock.calls[1][0].leaveCurrent).toBe(true);
        expect(listen.mock.calls[1][0].requestKey).not.toBe(listen.mock.calls[0][0].requestKey);
        listen.mockRejectedValueOnce(apexProblem('supervisor_busy', 409));
        disconnectMine.mockResolvedValue(supervision({ contactId: 'other' }));
        const again = await show();
        await again.press('listen');
        await again.press('leave-other');
        expect(disconnectMine).toHaveBeenCalledWith({ requestKey: expect.any(String) });
    });

    it('says what the service says, and never sends a listen again by itself', async () => {
        listen.mockRejectedValueOnce(apexProblem('contact_full', 409, 'Two supervisors are on this contact'));
        const { press, text } = await show();
        await press('listen');
        expect(text('error')).toBe('Two supervisors are on this contact');
        listen.mockRejectedValueOnce(lost());
        await press('listen');
        expect(text('error')).toContain('will not be sent again');
        online = true;
        window.dispatchEvent(new CustomEvent('online'));
        await pass(120000);
        expect(listen).toHaveBeenCalledTimes(2);
    });

    it('does not send a listen while offline, then or later', async () => {
        const { press, text } = await show();
        online = false;
        window.dispatchEvent(new CustomEvent('offline'));
        await settle();
        await press('listen');
        expect(text('error')).toContain('nothing will be');
        online = true;
        window.dispatchEvent(new CustomEvent('online'));
        await pass(120000);
        expect(listen).not.toHaveBeenCalled();
    });
});

describe('three states, never mixed', () => {
    const left = (over) => supervision({ state: 'LEFT', disconnectRequestedAt: '2026-08-04T17:43:46.000Z', departure: departure(), ...over });

    it.each([
        [
            'accepted',
            supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z', nextAction: nextAction() }),
            [['accepted', 'done'], ['confirmed', 'waiting'], ['recorded', 'waiting']],
            'Your disconnect is accepted. That you left is not confirmed yet.'
        ],
        [
            'overdue',
            supervision({
                state: 'LEAVING',
                overdue: true,
                disconnectRequestedAt: '2026-08-04T17:43:46.000Z',
                nextAction: nextAction()
            }),
            [['accepted', 'done'], ['confirmed', 'overdue'], ['recorded', 'waiting']],
            'Your leave is overdue: it was accepted, and nothing shows that you left.'
        ],
        [
            'confirmed by the vendor',
            left({ recording: { ...supervision().recording, state: 'PENDING', version: 2, recordedVersion: 1 } }),
            [['accepted', 'done'], ['confirmed', 'done'], ['recorded', 'waiting']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call goes on."
        ],
        [
            'recorded in Salesforce',
            left({ recording: { ...supervision().recording, version: 2, recordedVersion: 2 } }),
            [['accepted', 'done'], ['confirmed', 'done'], ['recorded', 'done']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call goes on."
        ],
        [
            'refused by Salesforce',
            left({ recording: { ...supervision().recording, state: 'DEAD', lastError: 'REQUIRED_FIELD_MISSING' } }),
            [['accepted', 'done'], ['confirmed', 'done'], ['recorded', 'problem']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call goes on."
        ],
        [
            'ended without anybody asking',
            left({ disconnectRequestedAt: null, departure: departure({ reason: 'CONTACT_ENDED', customerCallContinued: false }) }),
            [['accepted', 'none'], ['confirmed', 'done'], ['recorded', 'done']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call is over."
        ],
        [
            'bounded by nothing',
            left({ departure: departure({ uncertaintyMs: null, customerCallContinued: null }) }),
            [['accepted', 'done'], ['confirmed', 'done'], ['recorded', 'done']],
            "You left at 17:43:47.300 at the latest, how much earlier is not known (CALIBRATED). Whether the customer's call goes on is not known yet."
        ]
    ])('%s', async (_what, s, steps, summary) => {
        mine(s);
        const page = await show();
        expect(page.steps()).toEqual(steps);
        expect(page.text('summary')).toBe(summary);
    });

    it('an older version of the row that is recorded is not the newest one', async () => {
        mine(left({ recording: { ...supervision().recording, version: 3, recordedVersion: 2 } }));
        expect((await show()).steps()[2]).toEqual(['recorded', 'waiting']);
    });

    it('a join whose row is recorded is not a leave whose row is', async () => {
        mine(supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z' }));
        expect((await show()).steps()[2]).toEqual(['recorded', 'waiting']);
    });
});

describe('whose it is', () => {
    const gone = () => supervision({ state: 'LEFT', departure: departure(), disconnectRequestedAt: '2026-08-04T17:43:46.000Z' });

    it('stays the own one when it is over, though Apex names active ones only', async () => {
        mine(supervision());
        const { text } = await show();
        world = { supervisions: [gone()], mySupervisionId: null };
        await pass(15000);
        expect(text('summary')).toContain('You left at');
    });

    it('is known by the Connect user id, for legs begun elsewhere and after a reload', async () => {
        world = { supervisions: [supervision({ origin: 'OBSERVED', allowedModes: undefined })], mySupervisionId: null };
        const { text, get } = await show({ allowBarge: true });
        await pass(15000);
        expect(text('summary')).toContain('You are listening');
        expect(get('modes')).not.toBeNull();
        world = { supervisions: [gone(), { ...gone(), id: 'older' }], mySupervisionId: null };
        const again = await show();
        await pass(15000);
        expect(again.text('summary')).toContain('You left at');
    });

    it("is never another supervisor's", async () => {
        const other = { connectUserId: 'somebody', username: 'bo', salesforceUserId: null };
        world = { supervisions: [supervision({ supervisor: other })], mySupervisionId: null };
        const { text } = await show();
        await pass(15000);
        expect(text('summary')).toBe('You are not on this call.');
    });

    it('is shown as well where Apex leaves out what is null', async () => {
        const sparse = JSON.parse(JSON.stringify(supervision({ joinedUncertaintyMs: null }), (_n, value) => value ?? undefined));
        mine(sparse);
        const { steps, element } = await show();
        expect(steps()[1]).toEqual(['confirmed', 'done']);
        expect(element.shadowRoot.textContent).not.toMatch(/undefined|null|NaN/);
    });
});

describe('the list', () => {
    it('shows every supervisor, whose one is, how, and since when or how they left', async () => {
        const other = supervision({
            id: 'other',
            supervisor: { connectUserId: 'sup-2', username: 'bo', salesforceUserId: null },
            state: 'LEFT',
            departure: departure({ uncertaintyMs: 2500, calibration: { ...departure().calibration, grade: 'BOUNDED' } })
        });
        world = { supervisions: [supervision({ mode: 'BARGE' }), other], mySupervisionId: supervision().id };
        const { get } = await show();
        const rows = [...get('presence').querySelectorAll('tbody tr')].map((tr) =>
            [...tr.children].map((cell) => cell.textContent.replace(/\s+/g, ' ').trim())
        );
        expect(rows).toEqual([
            ['ada (you)', 'On the call', 'Speaking', '17:40:00.250'],
            ['bo', 'Left', '—', '17:43:47.120 ± 2500 ms (BOUNDED)']
        ]);
        expect(get('presence').querySelector('caption').textContent).toBe('Supervisors on this call');
    });
});

describe('disconnect', () => {
    it('is called so, says what it does, and is sent once with one key', async () => {
        mine(supervision());
        const { get, press, steps } = await show();
        expect(get('disconnect').textContent.trim()).toBe('Disconnect');
        const help = get('disconnect').getAttribute('aria-describedby');
        expect(help).toBeTruthy();
        const leaving = supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z' });
        disconnect.mockImplementation(async () => {
            mine(leaving);
            return leaving;
        });
        get('disconnect').click();
        get('disconnect').click();
        await settle();
        expect(disconnect).toHaveBeenCalledTimes(1);
        expect(disconnect.mock.calls[0][0]).toEqual({ supervisionId: leaving.id, requestKey: expect.stringMatching(/^leave-/) });
        expect(steps()[1]).toEqual(['confirmed', 'waiting']);
        expect(get('disconnect').getAttribute('aria-disabled')).toBe('true');
        await press('disconnect');
        expect(disconnect).toHaveBeenCalledTimes(1);
    });

    it('pressed without a connection is kept, told as not sent, and sent once with the same key', async () => {
        mine(supervision());
        const { press, text } = await show();
        online = false;
        window.dispatchEvent(new CustomEvent('offline'));
        presence.mockRejectedValue(lost());
        disconnect.mockRejectedValue(lost());
        await press('disconnect');
        expect(text('queued')).toContain('has not been sent yet');
        expect(text('stale')).toMatch(/^No connection. This is how it stood at \d\d:\d\d:\d\d\.\d{3}\.$/);
        const tried = disconnect.mock.calls.length;
        online = true;
        const leaving = supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z' });
        disconnect.mockImplementation(async () => {
            mine(leaving);
            return leaving;
        });
        presence.mockImplementation(async () => ({ ...world }));
        window.dispatchEvent(new CustomEvent('online'));
        await settle();
        expect(disconnect.mock.calls.length).toBe(tried + 1);
        expect(new Set(disconnect.mock.calls.map(([body]) => body.requestKey)).size).toBe(1);
        expect(text('queued')).toBeNull();
        expect(text('stale')).toBeNull();
        await pass(120000);
        expect(disconnect.mock.calls.length).toBe(tried + 1);
    });

    it('pressed before a reload and not answered is sent again with the same key', async () => {
        mine(supervision());
        disconnect.mockRejectedValue(lost());
        const before = await show();
        await before.press('disconnect');
        const { requestKey } = disconnect.mock.calls[0][0];
        document.body.removeChild(before.element);
        disconnect.mockResolvedValue(supervision({ state: 'LEAVING' }));
        await show();
        expect(disconnect.mock.calls.at(-1)[0].requestKey).toBe(requestKey);
        expect(window.sessionStorage.getItem('sidedoor.disconnect')).toBeNull();
    });

    it('refused by the service says why and can be pressed again, with another key', async () => {
        mine(supervision({ mode: 'BARGE' }));
        disconnect.mockRejectedValue(apexProblem('would_end_customer_call', 409, 'Leaving could end the customer’s call'));
        const { press, text } = await show();
        await press('disconnect');
        expect(text('error')).toBe('Leaving could end the customer’s call');
        await press('disconnect');
        const keys = disconnect.mock.calls.map(([body]) => body.requestKey);
        expect(keys).toHaveLength(2);
        expect(new Set(keys).size).toBe(2);
    });
});

describe('mode', () => {
    const granted = (over) => supervision({ allowedModes: ['SILENT', 'BARGE'], ...over });

    it('offers silence and barging in, never whisper, and only what was granted', async () => {
        mine(granted());
        const { get } = await show({ allowBarge: true });
        const offered = [...get('modes').querySelectorAll('input')].map((input) => [input.value, input.checked]);
        expect(offered).toEqual([['SILENT', true], ['BARGE', false]]);
        mine(supervision({ allowedModes: ['SILENT'] }));
        expect((await show({ allowBarge: true })).get('modes')).toBeNull();
        mine(granted());
        expect((await show({ allowBarge: false })).get('modes')).toBeNull();
    });

    it('asks, and shows that it is not confirmed until evidence says so', async () => {
        mine(granted());
        const { get, text } = await show({ allowBarge: true });
        const asked = granted({ modeChange: { mode: 'BARGE', requestedAt: '2026-08-04T17:42:00.000Z', confirmedAt: null } });
        changeMode.mockImplementation(async () => {
            mine(asked);
            return asked;
        });
        get('mode-barge').checked = true;
        get('mode-barge').dispatchEvent(new CustomEvent('change'));
        await settle();
        expect(changeMode.mock.calls[0][0]).toEqual({ supervisionId: asked.id, mode: 'BARGE', requestKey: expect.any(String) });
        expect(text('mode-notice')).toBe('The change is accepted, and not confirmed yet.');
        expect(text('summary')).toBe('You are listening to this call. Nobody hears you.');
    });
});

describe('directives', () => {
    it('are carried out by the CCP of this page, once it is there, and acknowledged', async () => {
        const leaving = supervision({ state: 'LEAVING', nextAction: nextAction() });
        mine(leaving);
        const { text } = await show();
        expect(text('cannot-act')).toContain('holds no Contact Control Panel');
        expect(directivesAfter.mock.calls[0][0].acts).toBe(false);
        const obey = jest.fn(async () => ({ outcome: 'DONE', at: '2026-08-04T17:43:47.120Z' }));
        const told = directive({ supervisionId: leaving.id });
        directivesAfter.mockResolvedValueOnce({ items: [told], nextAfter: '9', streamKey: 'mine' });
        acknowledge.mockResolvedValue(leaving);
        registerLegControl({ obey });
        await pass(10);
        expect(obey).toHaveBeenCalledTimes(1);
        expect(acknowledge).toHaveBeenCalledTimes(1);
        expect(text('cannot-act')).toBeNull();
    });

    it('that the browser refused are told to the person', async () => {
        mine(supervision({ state: 'LEAVING', nextAction: nextAction() }));
        registerLegControl({ obey: async () => ({ outcome: 'REFUSED', at: 'x', reason: 'agent_gone', detail: 'agent_gone' }) });
        directivesAfter.mockResolvedValueOnce({ items: [directive()], nextAfter: '9', streamKey: 'mine' });
        acknowledge.mockResolvedValue(supervision({ state: 'LEAVING' }));
        const { text } = await show();
        await pass(10);
        expect(text('error')).toContain('agent_gone');
        expect(text('error')).toContain('Contact Control Panel');
    });
});

describe('for keyboards and screen readers', () => {
    it('has a named region, a polite status that is always there, and an alert', async () => {
        const { element, get } = await show();
        const section = element.shadowRoot.querySelector('section');
        const title = element.shadowRoot.querySelector('h2');
        expect(section.getAttribute('aria-labelledby')).toBe(title.id);
        expect(get('summary').getAttribute('role')).toBe('status');
        expect(get('summary').getAttribute('aria-live')).toBe('polite');
        expect(get('error').getAttribute('role')).toBe('alert');
        const summary = get('summary');
        mine(supervision());
        await pass(15000);
        expect(get('summary')).toBe(summary);
        expect(summary.textContent).toContain('You are listening');
    });

    it('keeps the focus on a button that stays, and moves it to the title when the button goes', async () => {
        mine(supervision());
        const { element, get } = await show();
        const button = get('disconnect');
        button.focus();
        mine(supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z' }));
        await pass(15000);
        expect(element.shadowRoot.activeElement).toBe(button);
        mine(supervision({ state: 'LEFT', departure: departure(), disconnectRequestedAt: '2026-08-04T17:43:46.000Z' }));
        await pass(2000);
        expect(get('disconnect')).toBeNull();
        expect(element.shadowRoot.activeElement).toBe(element.shadowRoot.querySelector('h2'));
    });
});

describe('the page', () => {
    it("takes the contact from the VoiceCall's VendorCallKey", async () => {
        await show({ contactId: undefined, recordId: '0LQ000000000001' });
        expect(presence).not.toHaveBeenCalled();
        expect(getRecord.getLastConfig()).toEqual({ recordId: '0LQ000000000001', fields: ['VoiceCall.VendorCallKey'] });
        getRecord.emit({ fields: { VendorCallKey: { value: 'from-the-record' } } });
        await settle();
        expect(presence).toHaveBeenCalledWith({ contactId: 'from-the-record' });
    });

    it('shows nothing of the call before when the page moves on to another', async () => {
        mine(supervision());
        const { element, text } = await show();
        expect(text('summary')).toContain('You are listening');
        world = { supervisions: [], mySupervisionId: null };
        element.contactId = 'another';
        await settle();
        expect(text('summary')).toBe('You are not on this call.');
        expect(presence.mock.calls.at(-1)[0]).toEqual({ contactId: 'another' });
    });

    it('looks soon while something is on its way, seldom otherwise, and not at all once it is gone', async () => {
        const { element } = await show();
        await pass(14000);
        expect(presence).toHaveBeenCalledTimes(1);
        mine(supervision({ state: 'JOINING', joinedAt: null, recording: null }));
        await pass(2000);
        expect(presence).toHaveBeenCalledTimes(2);
        await pass(4000);
        expect(presence).toHaveBeenCalledTimes(4);
        document.body.removeChild(element);
        await pass(60000);
        expect(presence).toHaveBeenCalledTimes(4);
    });

    it('passes over an answer that a newer look has overtaken', async () => {
        const answers = [];
        presence.mockImplementation(() => new Promise((done) => answers.push(done)));
        const { text } = await show();
        window.dispatchEvent(new CustomEvent('online'));
        await settle();
        answers[1]({ supervisions: [supervision()], mySupervisionId: supervision().id });
        await settle();
        answers[0]({ supervisions: [], mySupervisionId: null });
        await settle();
        expect(text('summary')).toContain('You are listening');
    });
});
