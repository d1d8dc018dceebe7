/** supervisorPresence when something is wrong: what it shows, for how long, and what it retries. */
import { getRecord } from 'lightning/uiRecordApi';
import {
    org, apexProblem, lost, net, settle, pass, show, mine, presence, listen, disconnect, disconnectMine, directivesAfter
} from '../support/presencePage';
import { supervision, departure } from '../support/supervision';

describe('a broken setup', () => {
    it.each([
        ['sidedoor_unavailable', 0, 'The callout to Sidedoor failed: We couldn\'t access the credential(s).'],
        ['sidedoor_timeout', 0, 'Sidedoor did not answer in time'],
        ['supervisor_link_invalid', 403, 'Your user names no Connect user'],
        ['credential_invalid', 401, 'The token is not taken']
    ])('is shown with its code: %s', async (code, status, detail) => {
        presence.mockRejectedValue(apexProblem(code, status, detail));
        const { text, element } = await show();
        expect(text('error')).toBe(`${detail} (${code})`);
        expect(element.shadowRoot.textContent).not.toContain('No connection');
        expect(text('stale')).toBe('Nothing has been loaded yet.');
    });

    it('is shown with its code for a request without an answer', async () => {
        listen.mockRejectedValue(apexProblem('sidedoor_unavailable', 0, 'The callout to Sidedoor failed'));
        const { press, text } = await show();
        await press('listen');
        expect(text('error')).toContain('It is not known whether your request to listen arrived');
        expect(text('error')).toContain('(sidedoor_unavailable)');
    });

    it('is shown with its code while a disconnect is retried', async () => {
        mine(supervision());
        const { press, text, element } = await show();
        presence.mockRejectedValue(apexProblem('sidedoor_unavailable', 0, 'The callout to Sidedoor failed'));
        disconnect.mockRejectedValue(apexProblem('sidedoor_unavailable', 0, 'The callout to Sidedoor failed'));
        await press('disconnect');
        expect(text('error')).toBe('The callout to Sidedoor failed (sidedoor_unavailable)');
        expect(text('queued')).toContain('has not been accepted yet');
        expect(element.shadowRoot.textContent).not.toContain('No connection');
    });

    it('differs from a missing connection, which has no code', async () => {
        presence.mockRejectedValue(lost());
        const { text } = await show();
        expect(text('stale')).toBe('No connection. Nothing has been loaded yet.');
        expect(text('error')).toBe('');
    });
});

describe('an error disappears', () => {
    it('when a refresh succeeds', async () => {
        presence.mockRejectedValueOnce(apexProblem('supervisor_link_invalid', 403));
        const { text } = await show();
        expect(text('error')).toContain('supervisor_link_invalid');
        await pass(2000);
        expect(text('error')).toBe('');
        expect(text('stale')).toBeNull();
    });

    it('when the record can be read', async () => {
        const { text } = await show({ contactId: undefined, recordId: '0LQ000000000001', objectApiName: 'VoiceCall' });
        getRecord.error({ message: 'no' });
        await settle();
        expect(text('error')).toBe('Could not read the call from this record.');
        getRecord.emit({ fields: { VendorCallKey: { value: 'customer-1' } } });
        await settle();
        expect(text('error')).toBe('');
    });

    it('when the page changes to another call', async () => {
        listen.mockRejectedValue(apexProblem('contact_limit_reached', 409));
        const { element, press, text } = await show();
        await press('listen');
        expect(text('error')).toContain('contact_limit_reached');
        element.contactId = 'another';
        await settle();
        expect(text('error')).toBe('');
    });

    it('when the supervisor has left after all', async () => {
        mine(supervision({ mode: 'BARGE' }));
        disconnect.mockRejectedValue(apexProblem('barge_safety_conflict', 409));
        const { press, get } = await show();
        await press('disconnect');
        await pass(15000);
        expect(get('risk').code).toBe('barge_safety_conflict');
        mine(supervision({ state: 'LEFT', departure: departure() }));
        await pass(15000);
        expect(get('risk')).toBeNull();
    });
});

describe('leaving the other call', () => {
    async function busy() {
        listen.mockRejectedValueOnce(apexProblem('supervisor_conflict', 409));
        const page = await show();
        await page.press('listen');
        return page;
    }

    it('is retried with the same key, then directives are polled', async () => {
        disconnectMine.mockRejectedValueOnce(apexProblem('sidedoor_timeout', 0)).mockResolvedValue(supervision({ contactId: 'other', state: 'LEAVING' }));
        const { press, get } = await busy();
        await press('leave-other');
        expect(disconnectMine).toHaveBeenCalledTimes(1);
        expect(get('listen').getAttribute('aria-disabled')).toBe('true');
        const polls = directivesAfter.mock.calls.length;
        await pass(1000);
        expect(disconnectMine).toHaveBeenCalledTimes(2);
        const [first, second] = disconnectMine.mock.calls.map(([body]) => body);
        expect(first).toEqual({ requestKey: expect.stringMatching(/^leave-mine-.{8,}/) });
        expect(second).toEqual(first);
        expect(directivesAfter.mock.calls.length).toBeGreaterThan(polls);
        expect(get('listen').getAttribute('aria-disabled')).toBe('false');
        await pass(60000);
        expect(disconnectMine).toHaveBeenCalledTimes(2);
    });

    it('survives a reload and disables Listen until it is answered', async () => {
        disconnectMine.mockRejectedValue(lost());
        const before = await busy();
        await before.press('leave-other');
        expect(before.text('queued')).toContain('Your request to leave the other call has not been sent yet');
        const [[{ requestKey }]] = disconnectMine.mock.calls;
        document.body.removeChild(before.element);
        const after = await show();
        expect(disconnectMine.mock.calls.at(-1)[0]).toEqual({ requestKey });
        await after.press('listen');
        expect(listen).toHaveBeenCalledTimes(1);
        disconnectMine.mockResolvedValue(supervision({ contactId: 'other' }));
        window.dispatchEvent(new CustomEvent('online'));
        await pass(2000);
        expect(window.sessionStorage.getItem('sidedoor.disconnect')).toBeNull();
        await after.press('listen');
        expect(listen).toHaveBeenCalledTimes(2);
    });

    it('and a pending disconnect are both sent', async () => {
        disconnectMine.mockRejectedValueOnce(lost()).mockResolvedValue(supervision({ contactId: 'other' }));
        disconnect.mockResolvedValue(supervision({ state: 'LEAVING' }));
        const { press } = await busy();
        await press('leave-other');
        mine(supervision());
        await pass(300);
        window.dispatchEvent(new CustomEvent('online'));
        await settle();
        await press('disconnect');
        await pass(2000);
        expect(disconnectMine).toHaveBeenCalledTimes(2);
        expect(disconnect).toHaveBeenCalledTimes(1);
    });
});

describe('a disconnect', () => {
    it('is not delayed by another one without an answer', async () => {
        window.sessionStorage.setItem('sidedoor.disconnect', JSON.stringify([{ supervisionId: 'elsewhere', requestKey: 'leave-elsewhere' }]));
        const own = supervision();
        mine(own);
        disconnect.mockImplementation(async ({ supervisionId }) => {
            if (supervisionId === 'elsewhere') {
                throw lost();
            }
            return supervision({ state: 'LEAVING' });
        });
        const { press, get } = await show();
        expect(disconnect.mock.calls).toEqual([[{ supervisionId: 'elsewhere', requestKey: 'leave-elsewhere' }]]);
        expect(get('disconnect').getAttribute('aria-disabled')).toBe('false');
        await press('disconnect');
        await pass(5000);
        const requested = disconnect.mock.calls.map(([{ supervisionId }]) => supervisionId);
        expect(requested.filter((id) => id === own.id)).toHaveLength(1);
        expect(requested.filter((id) => id === 'elsewhere').length).toBeGreaterThan(2);
        expect(JSON.parse(window.sessionStorage.getItem('sidedoor.disconnect'))).toEqual([
            { supervisionId: 'elsewhere', requestKey: 'leave-elsewhere' }
        ]);
    });

    it.each([['not JSON'], ['{"supervisionId":"a"}'], ['[null, {"requestKey":"k"}, {"mine":true}, 7]']])(
        'that cannot be read from the page\'s storage is passed over: %s',
        async (kept) => {
            window.sessionStorage.setItem('sidedoor.disconnect', kept);
            mine(supervision());
            const { get } = await show();
            expect(disconnect).not.toHaveBeenCalled();
            expect(disconnectMine).not.toHaveBeenCalled();
            expect(get('disconnect').getAttribute('aria-disabled')).toBe('false');
        }
    );
});

describe('the focus', () => {
    it('is not taken from another field by a later change', async () => {
        mine(supervision());
        const { get } = await show();
        const note = document.createElement('input');
        document.body.appendChild(note);
        get('disconnect').focus();
        mine(supervision({ mode: 'BARGE' }));
        await pass(15000);
        note.focus();
        net.online = false;
        window.dispatchEvent(new CustomEvent('offline'));
        await settle();
        expect(get('stale')).not.toBeNull();
        expect(document.activeElement).toBe(note);
    });

    it('stays on the page after the supervisor has left the component', async () => {
        mine(supervision());
        const { get, element } = await show();
        get('disconnect').focus();
        await pass(15000);
        get('disconnect').blur();
        org.world = { supervisions: [], mySupervisionId: null };
        await pass(15000);
        expect(get('disconnect')).toBeNull();
        expect(document.activeElement).toBe(document.body);
        expect(element.shadowRoot.activeElement).toBeNull();
    });
});
