/** Leg control over the real ContactClient of @amazon-connect/contact; only the channel to the CCP is simulated. */
const { ContactClient } = require('@amazon-connect/contact');
const { LegControl, contactBackend } = require('c/legControl');
const { directive } = require('../support/directive');

/** A client that answers requests from these participants: {contactId: [{type, isSelf, state}]}. */
function clientWith(contacts, { fails = {} } = {}) {
    const requests = [];
    const answer = (path, data) => {
        requests.push({ path, data });
        if (fails[path]) {
            return Promise.reject(fails[path]);
        }
        switch (path) {
            case 'contact/listContacts':
                return Promise.resolve(Object.keys(contacts).map((contactId) => ({ contactId, type: 'voice' })));
            case 'contact/listParticipants':
                return Promise.resolve(
                    contacts[data.contactId].map((p, i) => ({
                        participantId: `${data.contactId}/${i}`,
                        contactId: data.contactId,
                        type: { value: p.type },
                        isInitial: p.type === 'inbound',
                        isSelf: Boolean(p.isSelf)
                    }))
                );
            case 'contact/getParticipantState': {
                const [contactId, i] = data.participantId.split('/');
                return Promise.resolve({ value: contacts[contactId][i].state });
            }
            case 'contact/disconnectSelf':
                contacts[data.contactId].find((p) => p.isSelf).state = 'disconnected';
                return Promise.resolve();
            case 'contact/clear':
                delete contacts[data.contactId];
                return Promise.resolve();
            default:
                return Promise.reject(new Error(`unexpected request: ${path}`));
        }
    };
    const proxy = { request: (path, data) => answer(path, data) };
    const provider = { getProxy: () => proxy, onError() {}, offError() {} };
    const client = new ContactClient({ provider });
    Object.defineProperty(client, 'context', { value: { proxy } });
    const orders = () => requests.filter(({ path }) => !/list|getParticipantState/.test(path));
    return { control: new LegControl(contactBackend(client), { patienceMs: 150 }), orders };
}

const CUSTOMER = { type: 'inbound', state: 'connected' };
const AGENT = { type: 'outbound', state: 'connected' };
const SILENT = { type: 'monitoring', state: 'silent_monitor' };
const self = (state, type = 'monitoring') => ({ type, state, isSelf: true });

it('disconnects the own leg, clears it and requests nothing else', async () => {
    const { control, orders } = clientWith({
        'leg-1': [CUSTOMER, AGENT, self('silent_monitor')],
        'customer-1': [CUSTOMER, self('connected', 'agent')]
    });
    expect((await control.execute(directive())).outcome).toBe('DONE');
    expect(orders()).toEqual([
        { path: 'contact/disconnectSelf', data: { contactId: 'leg-1' } },
        { path: 'contact/clear', data: { contactId: 'leg-1' } }
    ]);
});

it.each([
    ["the customer's contact", { 'leg-1': [CUSTOMER, self('connected', 'agent')] }, {}, 'not_a_monitor_leg'],
    ['a contact on which the user is not', { 'leg-1': [CUSTOMER, AGENT] }, {}, 'not_a_monitor_leg'],
    ['a contact with two participants marked isSelf', { 'leg-1': [CUSTOMER, AGENT, self('silent_monitor'), self('barge')] }, {}, 'not_a_monitor_leg'],
    ['a contact that the CCP does not have', { 'leg-2': [CUSTOMER, self('silent_monitor')] }, {}, 'unknown_contact'],
    ['the supervised contact as its own leg', { 'leg-1': [self('silent_monitor')] }, { contactId: 'leg-1' }, 'leg_is_the_supervised_contact'],
    ['to leave the customer alone', { 'leg-1': [CUSTOMER, { ...AGENT, state: 'disconnected' }, self('barge')] }, {}, 'agent_gone'],
    ['to leave the customer alone with a supervisor who only monitors', { 'leg-1': [CUSTOMER, SILENT, self('barge')] }, {}, 'agent_gone'],
    ['… with a supervisor of unknown state', { 'leg-1': [CUSTOMER, { type: 'monitoring', state: 'connected' }, self('barge')] }, {}, 'agent_gone'],
    ['to leave as one of the last two if not known to be silent', { 'leg-1': [CUSTOMER, self('connected')] }, {}, 'agent_gone'],
    ['a directive without the supervised contact', { 'leg-1': [CUSTOMER, AGENT, self('silent_monitor')] }, { contactId: null }, 'unreadable_directive'],
    ['to change the mode', { 'leg-1': [CUSTOMER, AGENT, self('barge')] }, { kind: 'CHANGE_MODE_IN_CCP', mode: 'SILENT' }, 'mode_change_unavailable']
])('refuses %s', async (_what, contacts, over, reason) => {
    const { control, orders } = clientWith(contacts);
    expect(await control.execute(directive(over))).toMatchObject({ outcome: 'REFUSED', reason });
    expect(orders()).toEqual([]);
});

it('disconnects itself if another one monitors too, in any order', async () => {
    for (const parts of [[SILENT, self('silent_monitor')], [self('silent_monitor'), SILENT]]) {
        const { control, orders } = clientWith({ 'leg-1': [CUSTOMER, AGENT, ...parts] });
        expect((await control.execute(directive())).outcome).toBe('DONE');
        expect(orders()[0]).toEqual({ path: 'contact/disconnectSelf', data: { contactId: 'leg-1' } });
    }
});

it('leaves while two others talk, one of whom has barged in', async () => {
    const { control } = clientWith({ 'leg-1': [CUSTOMER, { type: 'monitoring', state: 'barge' }, self('barge')] });
    expect((await control.execute(directive())).outcome).toBe('DONE');
});

it('reports a leg that is gone, and a failure', async () => {
    const seen = clientWith({ 'leg-1': [CUSTOMER, AGENT, self('silent_monitor')] });
    expect((await seen.control.execute(directive())).outcome).toBe('DONE');
    expect((await seen.control.execute(directive())).outcome).toBe('ALREADY_GONE');
    const failing = clientWith(
        { 'leg-1': [CUSTOMER, AGENT, self('silent_monitor')] },
        { fails: { 'contact/disconnectSelf': new Error('no such luck') } }
    );
    expect(await failing.control.execute(directive())).toMatchObject({ outcome: 'FAILED', detail: 'no such luck' });
});
