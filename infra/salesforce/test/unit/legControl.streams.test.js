/** Leg control over the real amazon-connect-streams: what it requests from the CCP, and what it refuses. */
const { LegControl, streamsBackend } = require('c/legControl');
const { streamsWith, leg, customers, connection } = require('../support/streams');
const { directive } = require('../support/directive');

const QUICK = { patienceMs: 200 };

function control(contacts, options) {
    const streams = streamsWith(contacts, options);
    return { ...streams, legControl: new LegControl(streamsBackend(streams.connect, { answerMs: 200 }), QUICK) };
}

describe('ending the own leg', () => {
    it.each([['monitoring'], ['agent']])('ends it and nothing else if the own connection has type %s', async (ownType) => {
        const { legControl, calls } = control([
            customers({ contactId: 'customer-1' }),
            leg({ contactId: 'leg-1', ownType }),
            leg({ contactId: 'leg-2' })
        ]);
        const answer = await legControl.execute(directive());
        expect(answer.outcome).toBe('DONE');
        expect(Date.parse(answer.at)).not.toBeNaN();
        expect(calls()).toEqual([
            { method: 'destroyConnection', params: { contactId: 'leg-1', connectionId: 'leg-1-self' } },
            { method: 'clearContact', params: { contactId: 'leg-1' } }
        ]);
    });

    it('reports DONE only after the leg was seen ended', async () => {
        const { legControl, connect } = control([leg({ contactId: 'leg-1' })]);
        // A CCP that accepts the request and does nothing.
        connect.core.client.call = (_method, _params, callbacks) => callbacks.success({});
        const answer = await legControl.execute(directive());
        expect(answer).toMatchObject({ outcome: 'FAILED', detail: expect.stringContaining('still connected') });
    });

    it('reports a failed clear as detail of DONE', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1' })], { answers: { clearContact: { failure: 'busy' } } });
        expect(await legControl.execute(directive())).toMatchObject({ outcome: 'DONE', detail: expect.stringContaining('busy') });
    });

    it('reports ALREADY_GONE for a leg that it has ended before', async () => {
        const { legControl, update, calls } = control([leg({ contactId: 'leg-1' })]);
        expect((await legControl.execute(directive())).outcome).toBe('DONE');
        update([]);
        expect((await legControl.execute(directive())).outcome).toBe('ALREADY_GONE');
        expect(calls().filter((c) => c.method === 'destroyConnection')).toHaveLength(1);
    });

    it('reports ALREADY_GONE for a shown leg that ended elsewhere', async () => {
        const { connect, update, calls } = streamsWith([customers({ contactId: 'customer-1' }), leg({ contactId: 'leg-1' })]);
        const backend = streamsBackend(connect, { answerMs: 200 });
        expect(backend.monitors()).toBe(true);
        update([customers({ contactId: 'customer-1' })]);
        expect(backend.monitors()).toBe(false);
        update([]);
        const legControl = new LegControl(backend, QUICK);
        expect((await legControl.execute(directive())).outcome).toBe('ALREADY_GONE');
        expect(await legControl.execute(directive({ legContactId: 'customer-1', contactId: 'another' }))).toMatchObject({
            outcome: 'REFUSED',
            reason: 'unknown_contact'
        });
        expect(calls()).toEqual([]);
    });

    it('clears a leg that had ended', async () => {
        const { legControl, calls } = control([leg({ contactId: 'leg-1', state: 'ended' })]);
        expect((await legControl.execute(directive())).outcome).toBe('ALREADY_GONE');
        expect(calls().map((c) => c.method)).toEqual(['clearContact']);
    });

    it('clears an ended leg without connections', async () => {
        const { legControl, calls } = control([{ ...leg({ contactId: 'leg-1', state: 'ended' }), connections: [] }]);
        expect((await legControl.execute(directive())).outcome).toBe('ALREADY_GONE');
        expect(calls().map((c) => c.method)).toEqual(['clearContact']);
    });

    it('waits for a leg that the CCP does not show yet', async () => {
        const { legControl, update } = control([]);
        setTimeout(() => update([leg({ contactId: 'leg-1' })]), 60);
        expect((await legControl.execute(directive())).outcome).toBe('DONE');
    });
});

describe('refuses', () => {
    const refuses = async (contacts, given, reason) => {
        const { legControl, calls } = control(contacts);
        expect(await legControl.execute(given)).toMatchObject({ outcome: 'REFUSED', reason });
        expect(calls()).toEqual([]);
    };

    it('a contact that the CCP does not have', () => refuses([leg({ contactId: 'leg-2' })], directive(), 'unknown_contact'));

    it('a leg that is the supervised contact', () =>
        refuses([leg({ contactId: 'leg-1' })], directive({ contactId: ' LEG-1 ' }), 'leg_is_the_supervised_contact'));

    it("the customer's contact", () =>
        refuses(
            [customers({ contactId: 'customer-1' })],
            directive({ legContactId: 'customer-1', contactId: 'another' }),
            'not_a_monitor_leg'
        ));

    it.each([['outbound'], ['transfer'], ['queue_transfer'], ['callback'], ['api'], ['disconnect'], ['external_outbound']])(
        'a contact started as %s',
        (initiationMethod) =>
            refuses([customers({ contactId: 'leg-1', initiationMethod })], directive(), 'not_a_monitor_leg')
    );

    it('a contact of unknown initiation whose own connection does not monitor', () =>
        refuses([customers({ contactId: 'leg-1', initiationMethod: null })], directive(), 'not_a_monitor_leg'));

    it("a customer's contact that has ended", () =>
        refuses([customers({ contactId: 'leg-1', state: 'ended' })], directive(), 'not_a_monitor_leg'));

    it('a MONITOR contact with several possible own connections', () => {
        const two = leg({ contactId: 'leg-1', ownType: 'agent', mode: undefined });
        two.connections[2].monitorStatus = undefined;
        two.connections.push(connection({ connectionId: 'other', type: 'agent' }));
        return refuses([two], directive(), 'own_connection_unknown');
    });

    it('to leave as one of the last two after barging in', () =>
        refuses([leg({ contactId: 'leg-1', mode: 'BARGE', agentThere: false })], directive(), 'agent_gone'));

    const other = (over) => connection({ connectionId: 'other', type: 'monitoring', ...over });
    /** Another supervisor's connection on the own MONITOR contact, before the own one or after it. */
    const withAnother = (over, own, place) => {
        const contact = leg({ contactId: 'leg-1', ...own });
        contact.connections.splice(place === 'before' ? 2 : 3, 0, other(over));
        return contact;
    };

    it.each(
        ['before', 'after'].flatMap((place) => [
            [place, 'silent', { monitorStatus: 'SILENT_MONITOR' }],
            [place, 'barged in', { monitorStatus: 'BARGE' }],
            [place, 'of unknown state', {}],
            [place, 'an agent who monitors', { type: 'agent', monitorStatus: 'SILENT_MONITOR' }],
            [place, 'a third party who monitors', { type: 'outbound', monitorStatus: 'BARGE' }]
        ])
    )('to end one of two that monitor: the other %s the own, %s', async (place, _what, over) => {
        for (const own of [{}, { mode: 'BARGE' }, { mode: 'BARGE', agentThere: false }]) {
            await refuses([withAnother(over, own, place)], directive(), 'own_connection_unknown');
            const silence = directive({ kind: 'CHANGE_MODE_IN_CCP', mode: 'SILENT' });
            await refuses([withAnother(over, own, place)], silence, 'own_connection_unknown');
        }
    });

    it('treating the own leg as ended because the first of two has', () =>
        refuses([withAnother({ state: 'disconnected' }, {}, 'before')], directive(), 'own_connection_unknown'));

    it('nothing once the other one that monitored has left', async () => {
        const { legControl, calls } = control([withAnother({ state: 'disconnected' }, {}, 'after')]);
        expect((await legControl.execute(directive())).outcome).toBe('DONE');
        expect(calls()[0].params.connectionId).toBe('leg-1-self');
    });

    it.each([
        ['may barge in', ['SILENT_MONITOR', 'BARGE'], 'agent_gone'],
        ['has unknown capabilities', undefined, 'agent_gone'],
        ['may only listen', ['SILENT_MONITOR'], null]
    ])('to leave as one of the last two in unknown state, who %s', async (_what, capabilities, reason) => {
        const contact = leg({ contactId: 'leg-1', mode: undefined, agentThere: false });
        Object.assign(contact.connections[2], { monitorStatus: undefined, monitorCapabilities: capabilities });
        const { legControl } = control([contact]);
        const answer = await legControl.execute(directive());
        expect(answer.outcome).toBe(reason ? 'REFUSED' : 'DONE');
        expect(answer.reason).toBe(reason || undefined);
    });

    it('to fall silent as one of the last two', () =>
        refuses(
            [leg({ contactId: 'leg-1', mode: 'BARGE', agentThere: false })],
            directive({ kind: 'CHANGE_MODE_IN_CCP', mode: 'SILENT' }),
            'agent_gone'
        ));

    it.each([
        ['an expired one', { expiresAt: new Date(Date.now() - 1).toISOString() }, 'expired'],
        ['one without a leg', { legContactId: '' }, 'unreadable_directive'],
        ['one without the supervised contact', { contactId: null }, 'unreadable_directive'],
        ['one with a blank contact', { contactId: ' ' }, 'unreadable_directive'],
        ['one with an invalid expiry', { expiresAt: 'soon' }, 'unreadable_directive'],
        ['an unknown kind', { kind: 'END_CONTACT' }, 'unknown_kind'],
        ['whispering', { kind: 'CHANGE_MODE_IN_CCP', mode: 'WHISPER' }, 'unknown_mode'],
        ['a withdrawn one', { status: 'WITHDRAWN' }, 'not_open']
    ])('%s', (_what, over, reason) => refuses([leg({ contactId: 'leg-1' })], directive(over), reason));

    it('a directive that is withdrawn while it waits for the leg', async () => {
        const { legControl, update, calls } = control([]);
        let wanted = true;
        setTimeout(() => {
            wanted = false;
            update([leg({ contactId: 'leg-1' })]);
        }, 60);
        const answer = await legControl.execute(directive(), { stillWanted: () => wanted });
        expect(answer).toMatchObject({ outcome: 'REFUSED', reason: 'not_open' });
        expect(calls()).toEqual([]);
    });

    it('a directive that expires while it waits for the leg', async () => {
        const { legControl, update, calls } = control([]);
        setTimeout(() => update([leg({ contactId: 'leg-1' })]), 100);
        const given = directive({ expiresAt: new Date(Date.now() + 50).toISOString() });
        expect(await legControl.execute(given)).toMatchObject({ outcome: 'REFUSED', reason: 'expired' });
        expect(calls()).toEqual([]);
    });
});

describe('a supervisor who has barged in', () => {
    it('leaves while customer and agent talk', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1', mode: 'BARGE' })]);
        expect((await legControl.execute(directive())).outcome).toBe('DONE');
    });

    it('leaves as one of the last two if an operator has accepted it', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1', mode: 'BARGE', agentThere: false })]);
        expect((await legControl.execute(directive({ customerCallMayEnd: true }))).outcome).toBe('DONE');
    });

    it('differs from a silent one, who may always leave', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1', agentThere: false })]);
        expect((await legControl.execute(directive())).outcome).toBe('DONE');
    });
});

describe('changing the own mode', () => {
    it.each([
        ['BARGE', 'BARGE', 'SILENT_MONITOR'],
        ['SILENT', 'SILENT_MONITOR', 'BARGE']
    ])('to %s', async (mode, word, from) => {
        const { legControl, calls } = control([leg({ contactId: 'leg-1', mode: from })]);
        expect((await legControl.execute(directive({ kind: 'CHANGE_MODE_IN_CCP', mode }))).outcome).toBe('DONE');
        expect(calls()).toEqual([
            { method: 'updateMonitorParticipantState', params: { contactId: 'leg-1', targetMonitorMode: word } }
        ]);
    });
});

describe('reports FAILED', () => {
    it.each([
        ['destroyConnection', directive()],
        ['updateMonitorParticipantState', directive({ kind: 'CHANGE_MODE_IN_CCP', mode: 'BARGE' })]
    ])('when the CCP refuses %s', async (method, given) => {
        const { legControl } = control([leg({ contactId: 'leg-1' })], {
            answers: { [method]: { failure: { type: 'InvalidStateException', message: 'no' } } }
        });
        expect(await legControl.execute(given)).toMatchObject({ outcome: 'FAILED', detail: 'no' });
    });

    it('when the CCP does not answer', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1' })], { answers: { destroyConnection: 'silence' } });
        expect(await legControl.execute(directive())).toMatchObject({ outcome: 'FAILED', detail: 'timeout: the CCP did not answer' });
    });

    it('when no user is logged in to the CCP', async () => {
        const { legControl, connect } = control([]);
        connect.core.agentDataProvider = new connect.core.AgentDataProvider(new connect.EventBus({ logEvents: false }));
        expect(await legControl.execute(directive())).toMatchObject({ outcome: 'FAILED', detail: expect.stringContaining('agent data') });
    });
});
