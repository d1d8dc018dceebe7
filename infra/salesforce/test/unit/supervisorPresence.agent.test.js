/** supervisorPresence on the page of an agent: the call that they are on, and the message if there is none. */
import { getRecord } from 'lightning/uiRecordApi';
import { org, apexProblem, settle, pass, show, mine, presence, listen, liveCall } from '../support/presencePage';
import { supervision, departure } from '../support/supervision';

const AGENT = '005000000000001AAA';
const RECORD = '0LQ000000000001';
const found = (contactId = 'customer-1', voiceCallId = RECORD) => ({ status: 'FOUND', contactId, voiceCallId });
const onUserPage = (over) => show({ contactId: undefined, recordId: AGENT, objectApiName: 'User', ...over });

it.each([
    ['of a User', { recordId: AGENT, objectApiName: 'User' }],
    ['with agentUserId', { agentUserId: AGENT }],
    ['with agentUserId and another record', { agentUserId: AGENT, recordId: '500000000000001', objectApiName: 'Case' }]
])("listens to the agent's call with its VoiceCall on a page %s", async (_what, over) => {
    liveCall.mockResolvedValue(found());
    listen.mockResolvedValue(supervision());
    const { press, text } = await show({ contactId: undefined, ...over });
    expect(liveCall).toHaveBeenCalledWith({ agentUserId: AGENT });
    expect(presence).toHaveBeenCalledWith({ contactId: 'customer-1' });
    expect(text('summary')).toBe('You are not on this call.');
    expect(text('unknown-contact')).toBeNull();
    expect(text('agent-call')).toBeNull();
    await press('listen');
    expect(listen.mock.calls[0][0]).toMatchObject({ contactId: 'customer-1', voiceCallId: RECORD });
});

it('sends no VoiceCall if several records have the contact', async () => {
    liveCall.mockResolvedValue({ status: 'FOUND', contactId: 'customer-1' });
    listen.mockResolvedValue(supervision());
    const { press } = await onUserPage();
    await press('listen');
    expect(listen.mock.calls[0][0].voiceCallId).toBeNull();
});

it.each([
    ['NONE', 'no call in progress'],
    ['AMBIGUOUS', 'several calls in progress'],
    ['NO_VOICE_CALL', 'no Voice Call object'],
    ['NOT_READABLE', 'do not have access to voice calls']
])('explains a missing call (%s) and looks again', async (status, word) => {
    liveCall.mockResolvedValue({ status });
    const { text, get } = await onUserPage();
    expect(text('summary')).toContain(word);
    expect(get('listen')).toBeNull();
    expect(presence).not.toHaveBeenCalled();
    liveCall.mockResolvedValue(found());
    await pass(15000);
    expect(text('summary')).toBe('You are not on this call.');
    expect(get('listen')).not.toBeNull();
});

it('follows the agent from call to call, and to none', async () => {
    liveCall.mockResolvedValue(found('first'));
    const { text, get } = await onUserPage();
    liveCall.mockResolvedValue(found('second'));
    await pass(15000);
    expect(presence.mock.calls.map(([{ contactId }]) => contactId)).toEqual(['first', 'second']);
    liveCall.mockResolvedValue({ status: 'NONE' });
    await pass(15000);
    expect(text('summary')).toContain('no call in progress');
    expect(get('listen')).toBeNull();
    expect(presence).toHaveBeenCalledTimes(2);
});

it("stays on the supervisor's call until the agent has another", async () => {
    liveCall.mockResolvedValue(found('customer-1'));
    mine(supervision());
    const { text, get } = await onUserPage();
    liveCall.mockResolvedValue(found('second'));
    await pass(30000);
    expect(liveCall).toHaveBeenCalledTimes(1);
    expect(get('disconnect')).not.toBeNull();
    liveCall.mockResolvedValue({ status: 'NONE' });
    org.world = { supervisions: [supervision({ state: 'LEFT', departure: departure() })], mySupervisionId: null };
    await pass(30000);
    expect(text('summary')).toContain('You left at');
    expect(text('agent-call')).toContain('no call in progress');
    expect(get('listen')).toBeNull();
    org.world = { supervisions: [], mySupervisionId: null };
    liveCall.mockResolvedValue(found('third'));
    await pass(15000);
    expect(presence.mock.calls.at(-1)[0]).toEqual({ contactId: 'third' });
    expect(text('summary')).toBe('You are not on this call.');
    expect(get('listen')).not.toBeNull();
});

it('does not change the call during a request to listen', async () => {
    liveCall.mockResolvedValue(found('customer-1'));
    let answer;
    listen.mockImplementation(() => new Promise((done) => (answer = done)));
    const { press, get } = await onUserPage();
    await press('listen');
    liveCall.mockResolvedValue(found('second'));
    await pass(15000);
    mine(supervision());
    answer(supervision());
    await settle();
    expect(get('disconnect')).not.toBeNull();
});

it('shows nothing of one agent on the page of another', async () => {
    liveCall.mockImplementation(async ({ agentUserId }) => (agentUserId === AGENT ? found() : new Promise(() => {})));
    mine(supervision());
    const { element, text, get } = await onUserPage();
    expect(get('disconnect')).not.toBeNull();
    element.recordId = '005000000000002AAA';
    await settle();
    expect(get('disconnect')).toBeNull();
    expect(get('listen')).toBeNull();
    expect(text('summary')).toBe('Loading who is on this call…');
    expect(liveCall.mock.calls.at(-1)[0]).toEqual({ agentUserId: '005000000000002AAA' });
});

it('shows a failed refresh until the next one succeeds', async () => {
    liveCall.mockRejectedValueOnce(apexProblem('request_invalid', 400, 'That is no user')).mockResolvedValue(found());
    const { text } = await onUserPage();
    expect(text('error')).toBe('That is no user (request_invalid)');
    await pass(2000);
    expect(text('error')).toBe('');
});

it('looks for no agent if a contact or a field of the User is set', async () => {
    await onUserPage({ contactId: 'given' });
    expect(presence).toHaveBeenCalledWith({ contactId: 'given' });
    await onUserPage({ contactIdField: 'Call__c' });
    expect(getRecord.getLastConfig()).toEqual({ recordId: AGENT, fields: ['User.Call__c'], optionalFields: [] });
    await show({ contactId: undefined, recordId: '500000000000001', objectApiName: 'Case' });
    expect(liveCall).not.toHaveBeenCalled();
});
