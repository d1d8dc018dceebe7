/** supervisorPresence where Salesforce's softphone holds the leg, on calls that are over, in hidden tabs, and with a risky leave. */
import { getRecord } from 'lightning/uiRecordApi';
import { org, apexProblem, settle, pass, show, mine, presence, listen, disconnect, disconnectAtRisk } from '../support/presencePage';
import { supervision, departure } from '../support/supervision';

jest.mock('@salesforce/customPermission/Sidedoor_Operate', () => ({ default: true }), { virtual: true });

const left = (over) => supervision({ state: 'LEFT', departure: departure(over) });

function hide(hidden) {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (hidden ? 'hidden' : 'visible') });
    document.dispatchEvent(new CustomEvent('visibilitychange'));
}
afterEach(() => hide(false));

describe('where the softphone holds the leg', () => {
    it.each([[false], ['false']])('says how to leave instead of offering Disconnect (%p)', async (canDisconnect) => {
        mine(supervision());
        const { get, text } = await show({ canDisconnect });
        expect(get('disconnect')).toBeNull();
        expect(text('softphone')).toBe('In the softphone choose Leave Call.');
        expect(get('cannot-act')).toBeNull();
    });

    it('says where to start instead of offering Listen', async () => {
        const { get, text } = await show({ canStart: false });
        expect(get('listen')).toBeNull();
        expect(text('softphone')).toContain('Start listening in Command Center');
    });

    it('is not assumed: without the settings both are offered', async () => {
        const { get } = await show();
        expect(get('listen')).not.toBeNull();
        expect(get('softphone')).toBeNull();
        mine(supervision());
        expect((await show({ canDisconnect: true })).get('disconnect')).not.toBeNull();
    });
});

describe('a call that is over', () => {
    it('according to a departure offers no Listen and is not read again', async () => {
        org.world = { supervisions: [left({ customerCallContinued: false })], mySupervisionId: null };
        const { get, text } = await show();
        expect(get('listen')).toBeNull();
        expect(text('over')).toBe('This call is over.');
        const read = presence.mock.calls.length;
        await pass(600000);
        expect(presence).toHaveBeenCalledTimes(read);
    });

    it('is read until its record is written', async () => {
        const pending = { ...left({ customerCallContinued: false }), salesforceRecord: { state: 'PENDING', version: 2, writtenVersion: 1 } };
        org.world = { supervisions: [pending], mySupervisionId: null };
        await show();
        await pass(10000);
        expect(presence.mock.calls.length).toBeGreaterThan(3);
    });

    it('according to Salesforce offers no Listen', async () => {
        const { get, text } = await show({ contactId: undefined, recordId: '0LQ000000000001', objectApiName: 'VoiceCall' });
        getRecord.emit({ fields: { VendorCallKey: { value: 'c' }, CallDisposition: { value: 'in-progress' } } });
        await settle();
        expect(get('listen')).not.toBeNull();
        getRecord.emit({ fields: { VendorCallKey: { value: 'c' }, CallDisposition: { value: 'Completed' } } });
        await settle();
        expect(get('listen')).toBeNull();
        expect(text('over')).toBe('This call is over.');
    });
});

describe('in a hidden tab', () => {
    it('reads nothing, and reads again at once when it is shown', async () => {
        mine(supervision());
        await show();
        hide(true);
        const read = presence.mock.calls.length;
        await pass(600000);
        expect(presence).toHaveBeenCalledTimes(read);
        hide(false);
        await settle();
        expect(presence).toHaveBeenCalledTimes(read + 1);
    });

    it('still sends a disconnect that has no answer', async () => {
        mine(supervision());
        const { press } = await show();
        disconnect.mockRejectedValue(apexProblem('sidedoor_timeout', 0));
        await press('disconnect');
        hide(true);
        const sent = disconnect.mock.calls.length;
        await pass(60000);
        expect(disconnect.mock.calls.length).toBeGreaterThan(sent);
    });
});

describe('a start that another call is in the way of', () => {
    it('names that call, its state and when to try again', async () => {
        const problem = { code: 'supervisor_conflict', status: 409, retryAfterMs: 2500, current: { supervisionId: 's', contactId: 'c-9', channel: 'VOICE', state: 'LEAVING' } };
        listen.mockRejectedValueOnce({ body: { message: JSON.stringify(problem) } });
        const { press, text } = await show();
        await press('listen');
        expect(text('busy-text')).toBe('You are on another contact already: c-9 (Leaving). Try again in 3 s.');
    });
});

describe('a leave that may end the call', () => {
    async function refused() {
        mine(supervision({ mode: 'BARGE' }));
        disconnect.mockRejectedValue(apexProblem('barge_safety_conflict', 409));
        const page = await show();
        await page.press('disconnect');
        const risk = page.get('risk').shadowRoot;
        const by = (id) => risk.querySelector(`[data-id="${id}"]`);
        const give = (value) => by('risk-reason').dispatchEvent(new CustomEvent('change', { detail: { value } }));
        return { ...page, by, give };
    }

    it('is sent with the reason of an operator, once', async () => {
        const { by, give, get } = await refused();
        by('risk-leave').click();
        await settle();
        expect(disconnectAtRisk).not.toHaveBeenCalled();
        give('  the customer has hung up ');
        await settle();
        const leaving = supervision({ state: 'LEAVING' });
        disconnectAtRisk.mockImplementation(async () => {
            mine(leaving);
            return leaving;
        });
        by('risk-leave').click();
        await settle();
        expect(disconnectAtRisk.mock.calls).toEqual([
            [{ supervisionId: leaving.id, reason: 'the customer has hung up', requestKey: expect.stringMatching(/^risk-/) }]
        ]);
        expect(get('risk')).toBeNull();
    });

    it('that is refused again shows why and stays', async () => {
        const { by, give, get, text } = await refused();
        give('a reason');
        await settle();
        disconnectAtRisk.mockRejectedValue(apexProblem('action_forbidden', 403, 'The scope operate is required'));
        by('risk-leave').click();
        await settle();
        expect(text('error')).toBe('The scope operate is required (action_forbidden)');
        expect(get('risk')).not.toBeNull();
        await pass(120000);
        expect(disconnectAtRisk).toHaveBeenCalledTimes(1);
    });
});
