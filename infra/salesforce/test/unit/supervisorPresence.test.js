/** supervisorPresence on a record page: what it offers, what it sends and what it never sends. */
import { registerLegControl } from 'c/legControl';
import { PendingLeave } from 'c/supervision';
import {
    org, CONTACT, apexProblem, lost, net, settle, pass, show, mine, presence, listen, changeMode,
    disconnect, disconnectMine, directivesAfter, acknowledge
} from '../support/presencePage';
import { supervision, nextAction } from '../support/supervision';
import { directive } from '../support/directive';

describe('before listening', () => {
    it('shows that there is no supervisor, and offers Listen', async () => {
        const { text, get } = await show();
        expect(text('summary')).toBe('You are not on this call.');
        expect(text('no-supervisors')).toBe('No supervisor is on this call.');
        expect(get('listen')).not.toBeNull();
        expect(get('disconnect')).toBeNull();
        expect(get('modes')).toBeNull();
    });

    it("listens silently, with the page's VoiceCall and a new key", async () => {
        listen.mockResolvedValue(supervision({ state: 'JOINING', joinedAt: null, salesforceRecord: null }));
        const { press, text, steps } = await show({ voiceCallId: '0LQ000000000001' });
        mine(supervision({ state: 'JOINING', joinedAt: null, salesforceRecord: null }));
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
        expect(steps()).toEqual([['accepted', 'done'], ['confirmed', 'waiting'], ['written', 'waiting']]);
    });

    it.each([
        ['VoiceCall', '0LQ000000000001'],
        ['Case', null],
        [undefined, null]
    ])("sends the page's record as VoiceCall only for a VoiceCall (%s)", async (objectApiName, voiceCallId) => {
        listen.mockResolvedValue(supervision());
        const { press } = await show({ recordId: '0LQ000000000001', objectApiName });
        await press('listen');
        expect(listen.mock.calls[0][0].voiceCallId).toBe(voiceCallId);
    });

    it('requests BARGE only if the page allows it and it was ticked', async () => {
        listen.mockResolvedValue(supervision());
        const { press, get } = await show({ allowBarge: true });
        get('may-speak').checked = true;
        get('may-speak').dispatchEvent(new CustomEvent('change'));
        await press('listen');
        expect(listen.mock.calls[0][0].mode).toBe('BARGE');
        expect((await show()).get('may-speak')).toBeNull();
    });

    it('offers to switch or leave when they are on another call', async () => {
        listen.mockRejectedValueOnce(apexProblem('supervisor_conflict', 409)).mockResolvedValue(supervision());
        const { press, get } = await show();
        await press('listen');
        expect(get('busy-elsewhere')).not.toBeNull();
        await press('switch');
        expect(listen.mock.calls[1][0].leaveCurrent).toBe(true);
        expect(listen.mock.calls[1][0].requestKey).not.toBe(listen.mock.calls[0][0].requestKey);
        listen.mockRejectedValueOnce(apexProblem('supervisor_conflict', 409));
        disconnectMine.mockResolvedValue(supervision({ contactId: 'other' }));
        const again = await show();
        await again.press('listen');
        await again.press('leave-other');
        expect(disconnectMine).toHaveBeenCalledWith({ requestKey: expect.any(String) });
    });

    it("shows the service's error and never retries a listen", async () => {
        listen.mockRejectedValueOnce(apexProblem('contact_limit_reached', 409, 'Two supervisors are on this contact'));
        const { press, text } = await show();
        await press('listen');
        expect(text('error')).toBe('Two supervisors are on this contact (contact_limit_reached)');
        listen.mockRejectedValueOnce(lost());
        await press('listen');
        expect(text('error')).toContain('will not be sent again');
        net.online = true;
        window.dispatchEvent(new CustomEvent('online'));
        await pass(120000);
        expect(listen).toHaveBeenCalledTimes(2);
    });

    it('sends no listen while offline, nor later', async () => {
        const { press, text } = await show();
        net.online = false;
        window.dispatchEvent(new CustomEvent('offline'));
        await settle();
        await press('listen');
        expect(text('error')).toContain('nothing will be');
        net.online = true;
        window.dispatchEvent(new CustomEvent('online'));
        await pass(120000);
        expect(listen).not.toHaveBeenCalled();
    });
});

describe('disconnect', () => {
    it('is labelled, explained and sent once', async () => {
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

    it('without a connection is kept and sent later with the same key', async () => {
        mine(supervision());
        const { press, text } = await show();
        net.online = false;
        window.dispatchEvent(new CustomEvent('offline'));
        presence.mockRejectedValue(lost());
        disconnect.mockRejectedValue(lost());
        await press('disconnect');
        expect(text('queued')).toContain('has not been sent yet');
        expect(text('stale')).toMatch(/^No connection. Last updated at \d\d:\d\d:\d\d\.\d{3}\.$/);
        const tried = disconnect.mock.calls.length;
        net.online = true;
        const leaving = supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z' });
        disconnect.mockImplementation(async () => {
            mine(leaving);
            return leaving;
        });
        presence.mockImplementation(async () => ({ ...org.world }));
        window.dispatchEvent(new CustomEvent('online'));
        await settle();
        expect(disconnect.mock.calls.length).toBe(tried + 1);
        expect(new Set(disconnect.mock.calls.map(([body]) => body.requestKey)).size).toBe(1);
        expect(text('queued')).toBeNull();
        expect(text('stale')).toBeNull();
        await pass(120000);
        expect(disconnect.mock.calls.length).toBe(tried + 1);
    });

    it('without an answer is retried after a reload with the same key', async () => {
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

    const leavingWith = (action, over) =>
        supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z', nextAction: action, ...over });
    const open = () => nextAction({ expiresAt: new Date(Date.now() + 60000).toISOString() });

    it.each([
        ['refused', () => leavingWith({ ...open(), status: 'REFUSED' })],
        ['failed', () => leavingWith({ ...open(), status: 'FAILED' })],
        ['expired', () => leavingWith(nextAction({ expiresAt: new Date(Date.now() - 1000).toISOString() }))],
        ['was done, without evidence', () => leavingWith({ ...open(), status: 'DONE' }, { overdue: true })],
        ['found the leg gone, without evidence', () => leavingWith({ ...open(), status: 'ALREADY_GONE' }, { overdue: true })]
    ])('can be pressed again, with a new key, if the directive %s', async (_what, leaving) => {
        mine(supervision());
        const { press, get } = await show();
        disconnect.mockImplementation(async () => {
            mine(leaving());
            return leaving();
        });
        await press('disconnect');
        expect(get('disconnect').getAttribute('aria-disabled')).toBe('false');
        disconnect.mockImplementation(async () => {
            mine(leavingWith(open()));
            return leavingWith(open());
        });
        await press('disconnect');
        const keys = disconnect.mock.calls.map(([body]) => body.requestKey);
        expect(keys).toHaveLength(2);
        expect(new Set(keys).size).toBe(2);
        expect(get('disconnect').getAttribute('aria-disabled')).toBe('true');
        await press('disconnect');
        expect(disconnect).toHaveBeenCalledTimes(2);
    });

    it.each([
        ['is open and valid, even if the leave is overdue', () => leavingWith(open(), { overdue: true })],
        ['was done just now', () => leavingWith({ ...open(), status: 'DONE' })],
        ['is missing, because the service acts by itself', () => leavingWith(null, { overdue: true })]
    ])('is disabled while the directive %s', async (_what, leaving) => {
        mine(leaving());
        const { press, get } = await show();
        expect(get('disconnect').getAttribute('aria-disabled')).toBe('true');
        await press('disconnect');
        expect(disconnect).not.toHaveBeenCalled();
    });

    it('can be pressed again once the directive has expired', async () => {
        mine(leavingWith(nextAction({ expiresAt: new Date(Date.now() + 5000).toISOString() })));
        const { get } = await show();
        expect(get('disconnect').getAttribute('aria-disabled')).toBe('true');
        await pass(8000);
        expect(get('disconnect').getAttribute('aria-disabled')).toBe('false');
    });

    it('for another supervision waits for the one being sent', async () => {
        const answers = [];
        const kept = { getItem: () => null, setItem: jest.fn(), removeItem: jest.fn() };
        const send = jest.fn(() => new Promise((done) => answers.push(done)));
        const settled = jest.fn();
        const pending = new PendingLeave({ send, settled, storage: kept, timers: { set: setTimeout, clear: clearTimeout } });
        pending.request('one');
        pending.request('two');
        expect(send).toHaveBeenCalledTimes(1);
        answers[0](supervision());
        await settle();
        expect(pending.supervisionIds).toEqual(['two']);
        expect(kept.removeItem).not.toHaveBeenCalled();
        expect(send.mock.calls.map(([{ supervisionId }]) => supervisionId)).toEqual(['one', 'two']);
        answers[1](supervision());
        await settle();
        expect(pending.supervisionIds).toEqual([]);
        expect(settled).toHaveBeenCalledTimes(2);
    });

    it('that was rejected shows why and can be repeated with a new key', async () => {
        mine(supervision({ mode: 'BARGE' }));
        disconnect.mockRejectedValue(apexProblem('barge_safety_conflict', 409, 'Leaving could end the customer’s call'));
        const { press, text, get } = await show();
        await press('disconnect');
        expect(get('risk').code).toBe('barge_safety_conflict');
        expect(get('risk').shadowRoot.textContent).toContain('the agent is not known to be on it any more');
        expect(text('error')).toBe('');
        await press('disconnect');
        const keys = disconnect.mock.calls.map(([body]) => body.requestKey);
        expect(keys).toHaveLength(2);
        expect(new Set(keys).size).toBe(2);
    });
});

describe('mode', () => {
    const granted = (over) => supervision({ allowedModes: ['SILENT', 'BARGE'], ...over });

    const pressed = (get) => ['silent', 'barge'].map((mode) => get(`mode-${mode}`).getAttribute('aria-pressed'));

    it('offers silent and barge if allowed, never whisper', async () => {
        mine(granted());
        const { get } = await show({ allowBarge: true });
        expect([...get('modes').querySelectorAll('button')].map(({ value }) => value)).toEqual(['SILENT', 'BARGE']);
        expect(pressed(get)).toEqual(['true', 'false']);
        const label = get('modes').getAttribute('aria-labelledby');
        expect(get('modes').getAttribute('role')).toBe('group');
        expect(get('modes').querySelector('span').id).toBe(label);
        mine(supervision({ allowedModes: ['SILENT'] }));
        expect((await show({ allowBarge: true })).get('modes')).toBeNull();
        mine(granted());
        expect((await show({ allowBarge: false })).get('modes')).toBeNull();
    });

    it('shows a change as not confirmed until there is evidence', async () => {
        mine(granted());
        const { get, text, press } = await show({ allowBarge: true });
        const pending = granted({ modeChange: { mode: 'BARGE', requestedAt: '2026-08-04T17:42:00.000Z', confirmedAt: null } });
        changeMode.mockImplementation(async () => {
            mine(pending);
            return pending;
        });
        await press('mode-barge');
        expect(changeMode.mock.calls[0][0]).toEqual({ supervisionId: pending.id, mode: 'BARGE', requestKey: expect.any(String) });
        expect(text('mode-notice')).toBe('The change was accepted but is not confirmed yet.');
        expect(text('summary')).toBe('You are listening to this call. You cannot be heard.');
        expect(pressed(get)).toEqual(['true', 'false']);
        mine(granted({ mode: 'BARGE', modeChange: { ...pending.modeChange, confirmedAt: '2026-08-04T17:42:01.000Z' } }));
        await pass(2000);
        expect(pressed(get)).toEqual(['false', 'true']);
    });

    it('sends nothing for the current mode, but can undo a pending change', async () => {
        mine(granted());
        const { press } = await show({ allowBarge: true });
        await press('mode-silent');
        expect(changeMode).not.toHaveBeenCalled();
        mine(granted({ modeChange: { mode: 'BARGE', requestedAt: '2026-08-04T17:42:00.000Z', confirmedAt: null } }));
        await pass(15000);
        changeMode.mockImplementation(async () => granted());
        await press('mode-silent');
        expect(changeMode).toHaveBeenCalledTimes(1);
    });

    it('keeps the focus during a change, and sends it once', async () => {
        mine(granted());
        const { element, get } = await show({ allowBarge: true });
        let answer;
        changeMode.mockImplementation(() => new Promise((done) => (answer = done)));
        get('mode-barge').focus();
        get('mode-barge').click();
        await settle();
        expect(get('mode-barge').getAttribute('aria-disabled')).toBe('true');
        expect(get('mode-barge').disabled).toBe(false);
        get('mode-barge').click();
        get('mode-silent').click();
        await settle();
        expect(changeMode).toHaveBeenCalledTimes(1);
        answer(granted({ mode: 'BARGE' }));
        await settle();
        expect(element.shadowRoot.activeElement).toBe(get('mode-barge'));
    });
});

describe('directives', () => {
    it("are carried out by this page's CCP and acknowledged", async () => {
        const leaving = supervision({ state: 'LEAVING', nextAction: nextAction() });
        mine(leaving);
        const { text } = await show();
        expect(text('cannot-act')).toContain('has no Contact Control Panel');
        expect(directivesAfter.mock.calls[0][0].acts).toBe(false);
        const execute = jest.fn(async () => ({ outcome: 'DONE', at: '2026-08-04T17:43:47.120Z' }));
        const issued = directive({ supervisionId: leaving.id });
        directivesAfter.mockResolvedValueOnce({ items: [issued], nextAfter: '9', channelKey: 'mine' });
        acknowledge.mockResolvedValue(leaving);
        registerLegControl({ execute });
        await pass(10);
        expect(execute).toHaveBeenCalledTimes(1);
        expect(acknowledge).toHaveBeenCalledTimes(1);
        expect(text('cannot-act')).toBeNull();
    });

    it('that were replaced show no error', async () => {
        mine(supervision({ state: 'LEAVING', nextAction: nextAction() }));
        const execute = jest.fn(async () => ({ outcome: 'DONE', at: 'x' }));
        registerLegControl({ execute });
        const old = directive({ issuedAt: new Date(Date.now() - 5000).toISOString() });
        directivesAfter.mockResolvedValueOnce({ items: [directive(), old], nextAfter: '9', channelKey: 'mine' });
        acknowledge.mockResolvedValue(supervision({ state: 'LEAVING' }));
        const { text } = await show();
        await pass(10);
        expect(acknowledge).toHaveBeenCalledTimes(2);
        expect(execute).toHaveBeenCalledTimes(1);
        expect(text('error')).toBe('');
    });

    it('that the browser refused show an error', async () => {
        mine(supervision({ state: 'LEAVING', nextAction: nextAction() }));
        registerLegControl({ execute: async () => ({ outcome: 'REFUSED', at: 'x', reason: 'agent_gone', detail: 'agent_gone' }) });
        directivesAfter.mockResolvedValueOnce({ items: [directive()], nextAfter: '9', channelKey: 'mine' });
        acknowledge.mockResolvedValue(supervision({ state: 'LEAVING' }));
        const { text } = await show();
        await pass(10);
        expect(text('error')).toContain('agent_gone');
        expect(text('error')).toContain('Contact Control Panel');
    });
});

