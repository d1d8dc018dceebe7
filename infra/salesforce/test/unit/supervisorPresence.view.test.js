/** supervisorPresence on a record page: what it shows, and how keyboards and screen readers use it. */
import { getRecord } from 'lightning/uiRecordApi';
import { org, settle, pass, show, mine, presence } from '../support/presencePage';
import { supervision, departure, nextAction } from '../support/supervision';

describe('accepted, confirmed and written', () => {
    const left = (over) => supervision({ state: 'LEFT', disconnectRequestedAt: '2026-08-04T17:43:46.000Z', departure: departure(), ...over });

    it.each([
        [
            'accepted',
            supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z', nextAction: nextAction() }),
            [['accepted', 'done'], ['confirmed', 'waiting'], ['written', 'waiting']],
            'Your disconnect is accepted. It is not confirmed yet that you left.'
        ],
        [
            'overdue',
            supervision({
                state: 'LEAVING',
                overdue: true,
                disconnectRequestedAt: '2026-08-04T17:43:46.000Z',
                nextAction: nextAction()
            }),
            [['accepted', 'done'], ['confirmed', 'overdue'], ['written', 'waiting']],
            'Your disconnect is overdue: it was accepted, but there is no evidence that you left.'
        ],
        [
            'confirmed by the vendor',
            left({ salesforceRecord: { ...supervision().salesforceRecord, state: 'PENDING', version: 2, writtenVersion: 1 } }),
            [['accepted', 'done'], ['confirmed', 'done'], ['written', 'waiting']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call goes on."
        ],
        [
            'recorded in Salesforce',
            left({ salesforceRecord: { ...supervision().salesforceRecord, version: 2, writtenVersion: 2 } }),
            [['accepted', 'done'], ['confirmed', 'done'], ['written', 'done']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call goes on."
        ],
        [
            'refused by Salesforce',
            left({ salesforceRecord: { ...supervision().salesforceRecord, state: 'FAILED', lastError: 'REQUIRED_FIELD_MISSING' } }),
            [['accepted', 'done'], ['confirmed', 'done'], ['written', 'problem']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call goes on."
        ],
        [
            'discarded by an operator',
            left({ salesforceRecord: { ...supervision().salesforceRecord, state: 'DISCARDED', lastError: 'REQUIRED_FIELD_MISSING' } }),
            [['accepted', 'done'], ['confirmed', 'done'], ['written', 'problem']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call goes on."
        ],
        [
            'ended without anybody asking',
            left({ disconnectRequestedAt: null, departure: departure({ reason: 'CONTACT_ENDED', customerCallContinued: false }) }),
            [['accepted', 'none'], ['confirmed', 'done'], ['written', 'done']],
            "You left at 17:43:47.120 ± 180 ms (CALIBRATED). The customer's call is over."
        ],
        [
            'bounded by nothing',
            left({ departure: departure({ uncertaintyMs: null, customerCallContinued: null }) }),
            [['accepted', 'done'], ['confirmed', 'done'], ['written', 'done']],
            "You left at 17:43:47.300 at the latest; the earliest possible time is not known (CALIBRATED). It is not known yet whether the customer's call goes on."
        ]
    ])('%s', async (_what, s, steps, summary) => {
        mine(s);
        const page = await show();
        expect(page.steps()).toEqual(steps);
        expect(page.text('summary')).toBe(summary);
    });

    it('an older written version does not count as written', async () => {
        mine(left({ salesforceRecord: { ...supervision().salesforceRecord, version: 3, writtenVersion: 2 } }));
        expect((await show()).steps()[2]).toEqual(['written', 'waiting']);
    });

    it('a written join does not count as a written leave', async () => {
        mine(supervision({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z' }));
        expect((await show()).steps()[2]).toEqual(['written', 'waiting']);
    });
});

describe('the own supervision', () => {
    const gone = () => supervision({ state: 'LEFT', departure: departure(), disconnectRequestedAt: '2026-08-04T17:43:46.000Z' });

    it('stays the own one after it has ended', async () => {
        mine(supervision());
        const { text } = await show();
        org.world = { supervisions: [gone()], mySupervisionId: null };
        await pass(15000);
        expect(text('summary')).toContain('You left at');
    });

    it('is recognized by the Connect user id', async () => {
        org.world = { supervisions: [supervision({ origin: 'OBSERVED', allowedModes: undefined })], mySupervisionId: null };
        const { text, get } = await show({ allowBarge: true });
        await pass(15000);
        expect(text('summary')).toContain('You are listening');
        expect(get('modes')).not.toBeNull();
        org.world = { supervisions: [gone(), { ...gone(), id: 'older' }], mySupervisionId: null };
        const again = await show();
        await pass(15000);
        expect(again.text('summary')).toContain('You left at');
    });

    it("is never another supervisor's", async () => {
        const other = { connectUserId: 'somebody', username: 'bo', salesforceUserId: null };
        org.world = { supervisions: [supervision({ supervisor: other })], mySupervisionId: null };
        const { text } = await show();
        await pass(15000);
        expect(text('summary')).toBe('You are not on this call.');
    });

    it('is shown if Apex leaves out null members', async () => {
        const sparse = JSON.parse(JSON.stringify(supervision({ joinedUncertaintyMs: null }), (_n, value) => value ?? undefined));
        mine(sparse);
        const { steps, element } = await show();
        expect(steps()[1]).toEqual(['confirmed', 'done']);
        expect(element.shadowRoot.textContent).not.toMatch(/undefined|null|NaN/);
    });
});

describe('the list', () => {
    it('shows every supervisor with state, mode and times', async () => {
        const other = supervision({
            id: 'other',
            supervisor: { connectUserId: 'sup-2', username: 'bo', salesforceUserId: null },
            state: 'LEFT',
            departure: departure({ uncertaintyMs: 2500, calibration: { ...departure().calibration, grade: 'BOUNDED' } })
        });
        org.world = { supervisions: [supervision({ mode: 'BARGE' }), other], mySupervisionId: supervision().id };
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

    it('keeps the focus on a button, or moves it to the title', async () => {
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
        await show({ contactId: undefined, recordId: '0LQ000000000001', objectApiName: 'VoiceCall' });
        expect(presence).not.toHaveBeenCalled();
        expect(getRecord.getLastConfig()).toEqual({ recordId: '0LQ000000000001', fields: ['VoiceCall.VendorCallKey'], optionalFields: ['VoiceCall.CallDisposition'] });
        getRecord.emit({ fields: { VendorCallKey: { value: 'from-the-record' } } });
        await settle();
        expect(presence).toHaveBeenCalledWith({ contactId: 'from-the-record' });
    });

    it.each([
        ['Contact_Id__c', 'Case.Contact_Id__c', { Contact_Id__c: { value: ' of-the-case ' } }, 'of-the-case'],
        ['Case.Contact_Id__c', 'Case.Contact_Id__c', { Contact_Id__c: { value: 'of-the-case' } }, 'of-the-case'],
        ['Call__r.Key__c', 'Case.Call__r.Key__c', { Call__r: { value: { fields: { Key__c: { value: 'over-it' } } } } }, 'over-it']
    ])('takes it from the field %s of another record', async (contactIdField, field, fields, contactId) => {
        await show({ contactId: undefined, recordId: '500000000000001', objectApiName: 'Case', contactIdField });
        expect(getRecord.getLastConfig()).toEqual({ recordId: '500000000000001', fields: [field], optionalFields: [] });
        getRecord.emit({ fields });
        await settle();
        expect(presence).toHaveBeenCalledWith({ contactId });
    });

    it('requests nothing for an empty field, and asks to set up a missing one', async () => {
        const { text } = await show({ contactId: undefined, recordId: '500000000000001', objectApiName: 'Case', contactIdField: 'C__c' });
        getRecord.emit({ fields: { C__c: { value: null } } });
        await settle();
        expect(presence).not.toHaveBeenCalled();
        expect(text('unknown-contact')).toBeNull();
        const other = await show({ contactId: undefined, recordId: '500000000000001', objectApiName: 'Case' });
        expect(other.text('unknown-contact')).toContain('Contact id field');
        expect(presence).not.toHaveBeenCalled();
    });

    it('shows nothing of the previous call on another page', async () => {
        mine(supervision());
        const { element, text } = await show();
        expect(text('summary')).toContain('You are listening');
        org.world = { supervisions: [], mySupervisionId: null };
        element.contactId = 'another';
        await settle();
        expect(text('summary')).toBe('You are not on this call.');
        expect(presence.mock.calls.at(-1)[0]).toEqual({ contactId: 'another' });
    });

    it('refreshes soon while in progress, rarely otherwise, never when removed', async () => {
        const { element } = await show();
        await pass(14000);
        expect(presence).toHaveBeenCalledTimes(1);
        mine(supervision({ state: 'JOINING', joinedAt: null, salesforceRecord: null }));
        await pass(2000);
        expect(presence).toHaveBeenCalledTimes(2);
        await pass(4000);
        expect(presence).toHaveBeenCalledTimes(4);
        document.body.removeChild(element);
        await pass(60000);
        expect(presence).toHaveBeenCalledTimes(4);
    });

    it('ignores an answer that a newer refresh has overtaken', async () => {
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
