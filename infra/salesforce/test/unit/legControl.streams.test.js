/** Leg control over the real amazon-connect-streams: what it asks the CCP for, and what it refuses. */
const { LegControl, streamsBackend } = require('c/legControl');
const { streamsWith, leg, customers, connection } = require('../support/streams');
const { directive } = require('../support/directive');

const QUICK = { patienceMs: 200 };

function control(contacts, options) {
    const streams = streamsWith(contacts, options);
    return { ...streams, legControl: new LegControl(streamsBackend(streams.connect, { answerMs: 200 }), QUICK) };
}

describe('ends the own leg and nothing else', () => {
    it.each([['monitoring'], ['agent']])('where the own connection is of type %s', async (ownType) => {
        const { legControl, calls } = control([
            customers({ contactId: 'customer-1' }),
            leg({ contactId: 'leg-1', ownType }),
            leg({ contactId: 'leg-2' })
        ]);
        const answer = await legControl.obey(directive());
        expect(answer.outcome).toBe('DONE');
        expect(Date.parse(answer.at)).not.toBeNaN();
        expect(calls()).toEqual([
            { method: 'destroyConnection', params: { contactId: 'leg-1', connectionId: 'leg-1-self' } },
            { method: 'clearContact', params: { contactId: 'leg-1' } }
        ]);
    });

    it('and says DONE only once the leg was seen ended', async () => {
        const { legControl, connect } = control([leg({ contactId: 'leg-1' })]);
        // A CCP that takes the order and does nothing.
        connect.core.client.call = (_method, _params, callbacks) => callbacks.success({});
        const answer = await legControl.obey(directive());
        expect(answer).toMatchObject({ outcome: 'FAILED', detail: expect.stringContaining('still connected') });
    });

    it('and tells a clear that failed without calling the leave failed', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1' })], { answers: { clearContact: { failure: 'busy' } } });
        expect(await legControl.obey(directive())).toMatchObject({ outcome: 'DONE', detail: expect.stringContaining('busy') });
    });

    it('and of a leg that this page saw before and that is gone says so', async () => {
        const { legControl, tell, calls } = control([leg({ contactId: 'leg-1' })]);
        expect((await legControl.obey(directive())).outcome).toBe('DONE');
        tell([]);
        expect((await legControl.obey(directive())).outcome).toBe('ALREADY_GONE');
        expect(calls().filter((c) => c.method === 'destroyConnection')).toHaveLength(1);
    });

    it('and of a leg that the panel only showed, and that was ended elsewhere, says that it is gone', async () => {
        const { connect, tell, calls } = streamsWith([customers({ contactId: 'customer-1' }), leg({ contactId: 'leg-1' })]);
        const backend = streamsBackend(connect, { answerMs: 200 });
        expect(backend.monitors()).toBe(true);
        tell([customers({ contactId: 'customer-1' })]);
        expect(backend.monitors()).toBe(false);
        tell([]);
        const legControl = new LegControl(backend, QUICK);
        expect((await legControl.obey(directive())).outcome).toBe('ALREADY_GONE');
        expect(await legControl.obey(directive({ legContactId: 'customer-1', contactId: 'another' }))).toMatchObject({
            outcome: 'REFUSED',
            reason: 'unknown_contact'
        });
        expect(calls()).toEqual([]);
    });

    it('and of a leg that had ended clears it', async () => {
        const { legControl, calls } = control([leg({ contactId: 'leg-1', state: 'ended' })]);
        expect((await legControl.obey(directive())).outcome).toBe('ALREADY_GONE');
        expect(calls().map((c) => c.method)).toEqual(['clearContact']);
    });

    it('and of a leg that had ended, and of whose connections nothing is left, too', async () => {
        const { legControl, calls } = control([{ ...leg({ contactId: 'leg-1', state: 'ended' }), connections: [] }]);
        expect((await legControl.obey(directive())).outcome).toBe('ALREADY_GONE');
        expect(calls().map((c) => c.method)).toEqual(['clearContact']);
    });

    it('and waits a moment for a leg that the CCP does not show yet', async () => {
        const { legControl, tell } = control([]);
        setTimeout(() => tell([leg({ contactId: 'leg-1' })]), 60);
        expect((await legControl.obey(directive())).outcome).toBe('DONE');
    });
});

describe('refuses', () => {
    const refuses = async (contacts, given, reason) => {
        const { legControl, calls } = control(contacts);
        expect(await legControl.obey(given)).toMatchObject({ outcome: 'REFUSED', reason });
        expect(calls()).toEqual([]);
    };

    it('a contact that is not here', () => refuses([leg({ contactId: 'leg-2' })], directive(), 'unknown_contact'));

    it('a leg that is named as the supervised contact', () =>
        refuses([leg({ contactId: 'leg-1' })], directive({ contactId: ' LEG-1 ' }), 'leg_is_the_supervised_contact'));

    it("the customer's contact", () =>
        refuses(
            [customers({ contactId: 'customer-1' })],
            directive({ legContactId: 'customer-1', contactId: 'another' }),
            'not_a_monitor_leg'
        ));

    it.each([['outbound'], ['transfer'], ['queue_transfer'], ['callback'], ['api'], ['disconnect'], ['external_outbound']])(
        'a contact begun as %s',
        (initiationMethod) =>
            refuses([customers({ contactId: 'leg-1', initiationMethod })], directive(), 'not_a_monitor_leg')
    );

    it('a contact of unknown beginning whose own connection does not monitor', () =>
        refuses([customers({ contactId: 'leg-1', initiationMethod: null })], directive(), 'not_a_monitor_leg'));

    it("a customer's contact that has ended", () =>
        refuses([customers({ contactId: 'leg-1', state: 'ended' })], directive(), 'not_a_monitor_leg'));

    it('a MONITOR contact on which it cannot tell which connection is the own', () => {
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
            [place, 'of whom nothing more is told', {}],
            [place, 'an agent who monitors', { type: 'agent', monitorStatus: 'SILENT_MONITOR' }],
            [place, 'a third party who monitors', { type: 'outbound', monitorStatus: 'BARGE' }]
        ])
    )('to end one of two that monitor, the other %s the own and %s', async (place, _what, over) => {
        for (const own of [{}, { mode: 'BARGE' }, { mode: 'BARGE', agentThere: false }]) {
            await refuses([withAnother(over, own, place)], directive(), 'own_connection_unknown');
            const silence = directive({ kind: 'CHANGE_MODE_IN_CCP', mode: 'SILENT' });
            await refuses([withAnother(over, own, place)], silence, 'own_connection_unknown');
        }
    });

    it('to take the own leg for ended because the first of two has ended', () =>
        refuses([withAnother({ state: 'disconnected' }, {}, 'before')], directive(), 'own_connection_unknown'));

    it('no leave where the other one that monitored has gone', async () => {
        const { legControl, calls } = control([withAnother({ state: 'disconnected' }, {}, 'after')]);
        expect((await legControl.obey(directive())).outcome).toBe('DONE');
        expect(calls()[0].params.connectionId).toBe('leg-1-self');
    });

    it.each([
        ['may barge in', ['SILENT_MONITOR', 'BARGE'], 'agent_gone'],
        ['may or may not barge in', undefined, 'agent_gone'],
        ['may only listen', ['SILENT_MONITOR'], null]
    ])('to leave as one of the last two in a state that is not told, who %s', async (_what, capabilities, reason) => {
        const contact = leg({ contactId: 'leg-1', mode: undefined, agentThere: false });
        Object.assign(contact.connections[2], { monitorStatus: undefined, monitorCapabilities: capabilities });
        const { legControl } = control([contact]);
        const answer = await legControl.obey(directive());
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
        ['an expired one', { expiresAt: new Date(Date.now() - 1).toISOString() }, 'join_timeout'],
        ['one without a leg', { legContactId: '' }, 'unreadable_directive'],
        ['one that hides which contact is supervised', { contactId: null }, 'unreadable_directive'],
        ['one that names none', { contactId: ' ' }, 'unreadable_directive'],
        ['one whose expiry cannot be read', { expiresAt: 'soon' }, 'unreadable_directive'],
        ['an unknown kind', { kind: 'END_CONTACT' }, 'unknown_kind'],
        ['whispering', { kind: 'CHANGE_MODE_IN_CCP', mode: 'WHISPER' }, 'unknown_mode'],
        ['one that is withdrawn', { status: 'WITHDRAWN' }, 'not_open']
    ])('%s', (_what, over, reason) => refuses([leg({ contactId: 'leg-1' })], directive(over), reason));

    it('what is withdrawn while it waits for the leg', async () => {
        const { legControl, tell, calls } = control([]);
        let wanted = true;
        setTimeout(() => {
            wanted = false;
            tell([leg({ contactId: 'leg-1' })]);
        }, 60);
        const answer = await legControl.obey(directive(), { stillGood: () => wanted });
        expect(answer).toMatchObject({ outcome: 'REFUSED', reason: 'not_open' });
        expect(calls()).toEqual([]);
    });

    it('what expires while it waits for the leg', async () => {
        const { legControl, tell, calls } = control([]);
        setTimeout(() => tell([leg({ contactId: 'leg-1' })]), 100);
        const given = directive({ expiresAt: new Date(Date.now() + 50).toISOString() });
        expect(await legControl.obey(given)).toMatchObject({ outcome: 'REFUSED', reason: 'join_timeout' });
        expect(calls()).toEqual([]);
    });
});

describe('a supervisor who has barged in', () => {
    it('leaves while customer and agent talk', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1', mode: 'BARGE' })]);
        expect((await legControl.obey(directive())).outcome).toBe('DONE');
    });

    it('leaves as one of the last two where an operator has accepted that', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1', mode: 'BARGE', agentThere: false })]);
        expect((await legControl.obey(directive({ customerCallMayEnd: true }))).outcome).toBe('DONE');
    });

    it('and one who is silent leaves with anybody gone: they are no party to the call', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1', agentThere: false })]);
        expect((await legControl.obey(directive())).outcome).toBe('DONE');
    });
});

describe('changes the own mode', () => {
    it.each([
        ['BARGE', 'BARGE', 'SILENT_MONITOR'],
        ['SILENT', 'SILENT_MONITOR', 'BARGE']
    ])('to %s', async (mode, word, from) => {
        const { legControl, calls } = control([leg({ contactId: 'leg-1', mode: from })]);
        expect((await legControl.obey(directive({ kind: 'CHANGE_MODE_IN_CCP', mode }))).outcome).toBe('DONE');
        expect(calls()).toEqual([
            { method: 'updateMonitorParticipantState', params: { contactId: 'leg-1', targetMonitorMode: word } }
        ]);
    });
});

describe('fails, and says why,', () => {
    it.each([
        ['destroyConnection', directive()],
        ['updateMonitorParticipantState', directive({ kind: 'CHANGE_MODE_IN_CCP', mode: 'BARGE' })]
    ])('when the CCP refuses %s', async (method, given) => {
        const { legControl } = control([leg({ contactId: 'leg-1' })], {
            answers: { [method]: { failure: { type: 'InvalidStateException', message: 'no' } } }
        });
        expect(await legControl.obey(given)).toMatchObject({ outcome: 'FAILED', detail: 'no' });
    });

    it('when the CCP does not answer', async () => {
        const { legControl } = control([leg({ contactId: 'leg-1' })], { answers: { destroyConnection: 'silence' } });
        expect(await legControl.obey(directive())).toMatchObject({ outcome: 'FAILED', detail: 'the CCP did not answer' });
    });

    it('when nobody is logged in to the CCP', async () => {
        const { legControl, connect } = control([]);
        connect.core.agentDataProvider = new connect.core.AgentDataProvider(new connect.EventBus({ logEvents: false }));
        expect(await legControl.obey(directive())).toMatchObject({ outcome: 'FAILED', detail: expect.stringContaining('agent data') });
    });
});
