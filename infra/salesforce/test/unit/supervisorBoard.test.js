/** supervisorBoard: what it shows, what it offers, and what it sends. */
import {
    org, agent, contact, boardOf, apexProblem, settle, pass, show, board, mine, listen, disconnect, disconnectAtRisk
} from '../support/boardPage';
import { supervision, departure } from '../support/supervision';

jest.mock('@salesforce/customPermission/Sidedoor_Operate', () => ({ default: true }), { virtual: true });

const on = (contactId, over) => supervision({ id: `s-${contactId}`, contactId, ...over });
const UNNAMED = { supervisionId: null, connectUserId: null, username: null };
const seen = (over) => ({ mode: 'SILENT', state: 'MONITORING', isYours: false, ...UNNAMED, ...over });
const leaving = (contactId, over) => on(contactId, { state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z', ...over });

describe('the rows', () => {
    it('show agents, their contacts and how long they last', async () => {
        org.board = boardOf([
            agent('cy', [contact('c-2', { channel: 'CHAT', queue: null, state: 'CONNECTED_ONHOLD' })]),
            agent('bo', [contact('c-1', { connectedAt: '2026-08-04T17:42:30.000Z' })]),
            agent('di')
        ]);
        const { rows, row, text } = await show();
        expect(rows().map((one) => one.row.name)).toEqual(['bo', 'cy', 'di']);
        const words = (name) => [...row(name).querySelectorAll('.name, .status, .channel, button')].map((one) => one.textContent.trim()).join(' ');
        expect(words('bo')).toBe('bo Available since 17:30 Call, Sales under 1 min Listen');
        expect(words('cy')).toBe('cy Available since 17:30 Chat 3 min (on hold) Listen');
        expect(words('di')).toBe('di Available since 17:30 No live contact');
        expect(text('count')).toBe('3 of 3 agents, 2 live contacts (as of 17:43:00.000)');
    });

    it('show who supervises, and in which mode', async () => {
        org.board = boardOf([
            agent('bo', [contact('c-1', { supervisions: [seen({ username: 'eve', mode: 'BARGE' }), seen({ state: 'LEAVING' })] })])
        ]);
        const { chips } = await show();
        expect(chips('bo')).toEqual(['eve: Speaking', 'A supervisor: Leaving']);
    });

    it('put the own one first, with Disconnect instead of Listen', async () => {
        org.board = boardOf([agent('bo', [contact('c-1')]), agent('zoe', [contact('c-9', { supervisions: [seen({ isYours: true, supervisionId: 's-c-9' })] })])]);
        org.mine = [on('c-9')];
        const { rows, inRow, chips } = await show();
        expect(rows().map((one) => one.row.name)).toEqual(['zoe', 'bo']);
        expect(chips('zoe')).toEqual(['You: Listening']);
        expect(inRow('zoe', 'leave').getAttribute('aria-label')).toBe('Disconnect from Call, Sales of zoe');
        expect(inRow('zoe', 'listen')).toBeNull();
        expect(inRow('bo', 'listen').getAttribute('aria-label')).toBe('Listen to Call, Sales of bo');
    });

    it('show the own supervision at once, although the board is older', async () => {
        org.mine = [on('c-1', { state: 'JOINING', joinedAt: undefined })];
        const { chips, inRow } = await show();
        expect(chips('bo')).toEqual(['You: Joining']);
        expect(inRow('bo', 'leave')).not.toBeNull();
        org.board = boardOf([agent('bo', [contact('c-1', { supervisions: [seen({ isYours: true, supervisionId: 's-c-1' })] })])]);
        org.mine = [{ ...on('c-1'), state: 'LEFT', departure: departure() }];
        await pass(10000);
        expect(chips('bo')).toEqual([]);
        expect(inRow('bo', 'listen')).not.toBeNull();
    });

    it.each(['ENDED', 'MISSED', 'ERROR', 'CONNECTING'])('offer no Listen for a contact that is %s', async (state) => {
        org.board = boardOf([agent('bo', [contact('c-1', { state })])]);
        expect((await show()).inRow('bo', 'listen')).toBeNull();
    });

    it('offer no Listen to the own contact of the user', async () => {
        org.board = boardOf([agent('me', [contact('c-1')], { isYou: true })]);
        const { inRow, row } = await show();
        expect(inRow('me', 'listen')).toBeNull();
        expect(row('me').textContent).toContain('(you)');
    });
});

describe('search and filter', () => {
    const agents = () => [
        agent('bo', [contact('c-1'), contact('c-3', { channel: 'CHAT', queue: 'Help' })]),
        agent('cy', [contact('c-2', { queue: 'Help' })], { status: 'After call work' }),
        agent('di')
    ];
    const names = (page) => page.rows().map((one) => one.row.name);

    it('narrow the rows at once, without another request', async () => {
        org.board = boardOf(agents());
        const page = await show();
        await page.change('search', { value: 'AFTER' });
        expect(names(page)).toEqual(['cy']);
        await page.change('search', { value: '' });
        await page.change('queue', { value: 'Help' });
        expect(names(page)).toEqual(['bo', 'cy']);
        expect(page.rows()[0].row.contacts.map(({ contactId }) => contactId)).toEqual(['c-3']);
        await page.change('channel', { value: 'CHAT' });
        expect(names(page)).toEqual(['bo']);
        expect(board).toHaveBeenCalledTimes(1);
        expect(page.get('queue').options.map(({ label }) => label)).toEqual(['All queues', 'Help', 'Sales']);
        expect(page.get('channel').options.map(({ label }) => label)).toEqual(['All channels', 'Chat', 'Call']);
    });

    it('ask the service for agents with contacts', async () => {
        org.board = boardOf(agents());
        const page = await show({ queueId: 'q-7', instance: 'main' });
        await page.change('only-contacts', {}, { checked: true });
        expect(names(page)).toEqual(['bo', 'cy']);
        expect(board.mock.calls.at(-1)[0].filter).toMatchObject({ queueId: 'q-7', instance: 'main', withContacts: true, name: null });
    });

    it('let the service search if its list is not complete', async () => {
        org.board = boardOf(agents(), { isComplete: false });
        const page = await show();
        expect(page.text('list-notice')).toContain('not complete');
        await page.change('search', { value: ' bo ' });
        expect(board.mock.calls.at(-1)[0].filter.name).toBe('bo');
    });

    it('find an agent whose user name is not known by the id that the row shows', async () => {
        org.board = boardOf([agent('bo'), agent('cy', [], { username: null })]);
        const page = await show();
        await page.change('search', { value: 'id-c' });
        expect(names(page)).toEqual(['id-cy']);
    });

    it('say that no agent matches', async () => {
        const page = await show();
        await page.change('search', { value: 'zz' });
        expect(page.text('empty')).toBe('No agent matches.');
    });
});

describe('listening', () => {
    it('is silent, with the VoiceCall, the reason and a new key', async () => {
        org.board = boardOf([agent('bo', [contact('c-1')])], { voiceCallIds: { 'c-1': '0LQ000000000001' } });
        listen.mockImplementation(async () => {
            org.mine = [on('c-1', { state: 'JOINING', joinedAt: undefined })];
            return org.mine[0];
        });
        const { inRow, click, text, change } = await show({ askReason: true });
        await change('reason', { value: ' a complaint ' });
        await click(inRow('bo', 'listen'));
        expect(listen.mock.calls).toEqual([
            [
                {
                    contactId: 'c-1',
                    agentUserId: null,
                    voiceCallId: '0LQ000000000001',
                    mode: 'SILENT',
                    reason: 'a complaint',
                    leaveCurrent: false,
                    requestKey: expect.stringMatching(/^listen-/)
                }
            ]
        ]);
        expect(text('own-text')).toBe('Joining Call, Sales of bo');
        org.mine = [on('c-1')];
        await pass(500);
        expect(text('own-text')).toBe('You are on: Call, Sales of bo');
    });

    it('moves the focus to the title, because the button is gone', async () => {
        listen.mockImplementation(async () => {
            org.mine = [on('c-1')];
            return org.mine[0];
        });
        const { inRow, click, root, get } = await show();
        inRow('bo', 'listen').focus();
        await click(inRow('bo', 'listen'));
        expect(inRow('bo', 'listen')).toBeNull();
        expect(root.activeElement).toBe(root.querySelector('h2'));
        const note = document.createElement('input');
        document.body.appendChild(note);
        note.focus();
        org.mine = [];
        await pass(10000);
        expect(get('own-leave')).toBeNull();
        expect(document.activeElement).toBe(note);
    });

    it('that was rejected shows why; without an answer it is not sent again', async () => {
        const { inRow, click, text } = await show();
        listen.mockRejectedValueOnce(apexProblem('contact_limit_reached', 409));
        await click(inRow('bo', 'listen'));
        expect(text('error')).toBe('contact_limit_reached');
        listen.mockRejectedValueOnce({ body: { message: 'Read timed out' } });
        await click(inRow('bo', 'listen'));
        expect(text('error')).toContain('will not be sent again');
        await pass(60000);
        expect(listen).toHaveBeenCalledTimes(2);
    });

    it('offers the contacts of an agent who has several', async () => {
        const contacts = [{ contactId: 'c-1', channel: 'VOICE', queueId: 'q-1' }, { contactId: 'c-8', channel: 'CHAT' }];
        const { inRow, click, root, text } = await show();
        listen.mockRejectedValueOnce(apexProblem('agent_contact_ambiguous', 409, { contacts })).mockResolvedValue(on('c-8'));
        await click(inRow('bo', 'listen'));
        expect(text('refused-text')).toContain('several live contacts');
        const choices = [...root.querySelectorAll('[data-id="choose"]')];
        expect(choices.map((one) => one.textContent)).toEqual(['Call, Sales of bo', 'Chat c-8']);
        await click(choices[1]);
        expect(listen.mock.calls[1][0].contactId).toBe('c-8');
    });
});

describe('moving on', () => {
    beforeEach(() => {
        org.board = boardOf([agent('bo', [contact('c-1')]), agent('cy', [contact('c-2', { queue: 'Help' })])]);
    });

    it('asks before it leaves the current contact, and can stay', async () => {
        org.mine = [on('c-1')];
        const { inRow, click, text, get } = await show();
        await click(inRow('cy', 'listen'));
        expect(listen).not.toHaveBeenCalled();
        expect(text('refused-text')).toBe('You are on another contact already: Call, Sales of bo (On the call).');
        expect(text('move')).toBe('Leave that one and listen to Call, Help of cy');
        await click(get('stay'));
        expect(get('refused')).toBeNull();
        await click(inRow('cy', 'listen'));
        listen.mockResolvedValue(on('c-2', { state: 'REQUESTED', joinedAt: undefined, waitsFor: 's-c-1' }));
        await click(get('move'));
        expect(listen.mock.calls[0][0]).toMatchObject({ contactId: 'c-2', leaveCurrent: true });
    });

    it('shows from where to where while the last leave is not confirmed', async () => {
        org.mine = [leaving('c-1')];
        let answer;
        listen.mockImplementation(() => new Promise((done) => (answer = done)));
        const { inRow, click, text, get } = await show();
        expect(text('own-text')).toBe('Leaving Call, Sales of bo. It is not confirmed yet that you left.');
        await click(inRow('cy', 'listen'));
        expect(listen.mock.calls[0][0]).toMatchObject({ contactId: 'c-2', leaveCurrent: false });
        expect(text('own-text')).toBe('Leaving Call, Sales of bo, then listening to Call, Help of cy');
        expect(inRow('bo', 'leave').getAttribute('aria-disabled')).toBe('true');
        org.mine = [on('c-2', { state: 'REQUESTED', joinedAt: undefined, waitsFor: 's-c-1' }), leaving('c-1')];
        answer(org.mine[0]);
        await settle();
        expect(text('own-text')).toBe('Leaving Call, Sales of bo, then listening to Call, Help of cy');
        org.mine = [on('c-2'), { ...leaving('c-1'), state: 'LEFT', departure: departure() }];
        await pass(500);
        expect(text('own-text')).toBe('You are on: Call, Help of cy');
        expect(get('refused')).toBeNull();
    });

    it('shows which contact is in the way if the service refuses, and when to try again', async () => {
        const current = { supervisionId: 's-c-1', contactId: 'c-1', channel: 'VOICE', state: 'LEAVING' };
        listen.mockRejectedValueOnce(apexProblem('supervisor_conflict', 409, { current, retryAfterMs: 1200 }));
        const { inRow, click, text } = await show();
        await click(inRow('cy', 'listen'));
        expect(text('refused-text')).toBe('You are on another contact already: Call, Sales of bo (Leaving). Try again in 2 s.');
        expect(text('error')).toBe('');
        org.mine = [{ ...leaving('c-1'), state: 'LEFT', departure: departure() }];
        await pass(10000);
        expect(text('refused-text')).toBeNull();
    });
});

describe('disconnect', () => {
    it('works in the row and in the pinned line, and is sent once', async () => {
        org.mine = [on('c-1')];
        disconnect.mockImplementation(async () => {
            org.mine = [leaving('c-1')];
            return org.mine[0];
        });
        const { inRow, click, get, text } = await show();
        await click(inRow('bo', 'leave'));
        await click(inRow('bo', 'leave'));
        await click(get('own-leave'));
        expect(disconnect.mock.calls).toEqual([[{ supervisionId: 's-c-1', requestKey: expect.stringMatching(/^leave-/) }]]);
        expect(text('own-text')).toContain('Leaving Call, Sales of bo.');
        expect(get('own-leave').getAttribute('aria-disabled')).toBe('true');
    });

    it('without an answer is retried and says so', async () => {
        org.mine = [on('c-1')];
        disconnect.mockRejectedValue(apexProblem('sidedoor_timeout', 0));
        const { click, get, text } = await show();
        await click(get('own-leave'));
        expect(text('queued')).toContain('has not been accepted yet');
        await pass(5000);
        expect(new Set(disconnect.mock.calls.map(([{ requestKey }]) => requestKey)).size).toBe(1);
        expect(disconnect.mock.calls.length).toBeGreaterThan(2);
    });

    it("that may end the customer's call has its own words and an operator's way", async () => {
        org.mine = [on('c-1', { mode: 'BARGE' })];
        disconnect.mockRejectedValue(apexProblem('barge_safety_conflict', 409));
        const { click, get, text } = await show();
        await click(get('own-leave'));
        const risk = get('risk').shadowRoot;
        expect(risk.textContent).toContain("Leaving now may end the customer's call");
        expect(text('error')).toBe('');
        risk.querySelector('[data-id="risk-reason"]').dispatchEvent(new CustomEvent('change', { detail: { value: 'agreed' } }));
        await settle();
        disconnectAtRisk.mockResolvedValue(leaving('c-1'));
        await click(risk.querySelector('[data-id="risk-leave"]'));
        expect(disconnectAtRisk.mock.calls[0][0]).toEqual({ supervisionId: 's-c-1', reason: 'agreed', requestKey: expect.any(String) });
        expect(get('risk')).toBeNull();
    });

    it('is replaced by what to do in the softphone where that holds the leg', async () => {
        org.mine = [on('c-1')];
        const { inRow, get, text } = await show({ canDisconnect: false, canStart: 'false' });
        expect(inRow('bo', 'leave')).toBeNull();
        expect(get('own-leave')).toBeNull();
        expect(inRow('bo', 'softphone').textContent).toBe('In the softphone choose Leave Call.');
        expect(text('own-softphone')).toBe('In the softphone choose Leave Call.');
        expect(text('start')).toContain('Command Center');
        org.mine = [];
        await pass(10000);
        expect(inRow('bo', 'listen')).toBeNull();
    });
});

describe('the last departures', () => {
    it('show time, uncertainty, contact and what became of the call', async () => {
        const left = (n, over) => ({ ...on(`c-${n}`, { agentUsername: 'eve', queue: 'Sales' }), state: 'LEFT', departure: departure(over) });
        org.mine = [left(11), left(12, { customerCallContinued: null }), ...Array.from({ length: 9 }, (_, i) => left(20 + i))];
        const { root } = await show();
        const lines = [...root.querySelectorAll('[data-departure]')].map((one) => [...one.children].map((part) => part.textContent).join(' '));
        expect(lines).toHaveLength(5);
        expect(lines[0]).toBe("17:43:47.120 ± 180 ms (CALIBRATED) Call, Sales of eve, The customer's call goes on.");
        expect(lines[1]).toContain('It is not known yet');
    });
});

describe('what cannot be read', () => {
    it('is said, and what was read before stays', async () => {
        const { text, rows } = await show();
        board.mockRejectedValue(apexProblem('action_forbidden', 403));
        await pass(10000);
        expect(text('error')).toBe('action_forbidden');
        expect(rows()).toHaveLength(1);
        mine.mockRejectedValue({ body: { message: 'Read timed out' } });
        await pass(10000);
        expect(text('stale')).toContain('No connection.');
    });

    it('of the presence in an org with VoiceCall leaves the calls', async () => {
        org.board = boardOf([agent(null, [contact('c-1', { queue: null })], { agentUserId: null })], {
            source: 'VOICE_CALL',
            asOf: null,
            isComplete: false,
            problem: JSON.stringify({ code: 'action_forbidden', detail: 'The scope board is missing' })
        });
        const { text, rows } = await show();
        expect(text('part')).toBe('Who supervises each call cannot be shown: The scope board is missing (action_forbidden)');
        expect(rows()[0].row.name).toBe('An agent');
        expect(text('list-notice')).toBeNull();
    });

    it('because Sidedoor has just started is said, and read again soon', async () => {
        org.board = boardOf([], { asOf: null });
        const { text } = await show();
        expect(text('list-notice')).toContain('has not asked Amazon Connect');
        org.board = boardOf([agent('bo')]);
        const read = board.mock.calls.length;
        await pass(12000);
        expect(board.mock.calls.length).toBeGreaterThan(read);
        expect(text('list-notice')).toBeNull();
    });
});
