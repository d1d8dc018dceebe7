/** supervisionNotice on an agent's page: whose events it shows, and when it is subscribed. */
import { createElement } from 'lwc';
import { subscribe, unsubscribe } from 'lightning/empApi';
import { getRecord } from 'lightning/uiRecordApi';
import SupervisionNotice from 'c/supervisionNotice';

jest.mock('lightning/empApi', () => ({ subscribe: jest.fn(), unsubscribe: jest.fn() }), { virtual: true });
jest.mock('@salesforce/user/Id', () => ({ default: '005000000000001AAA' }), { virtual: true });

const ME = '005000000000001';
let say;

function hide(hidden) {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (hidden ? 'hidden' : 'visible') });
    document.dispatchEvent(new CustomEvent('visibilitychange'));
}

async function settle() {
    for (let i = 0; i < 10; i += 1) {
        await Promise.resolve();
    }
}

async function show(over = {}) {
    const element = createElement('c-supervision-notice', { is: SupervisionNotice });
    Object.assign(element, over);
    document.body.appendChild(element);
    await settle();
    return () => element.shadowRoot.textContent.trim();
}

const event = (over) => ({
    data: { payload: { Supervision_Id__c: 's-1', Agent__c: ME, Contact_Id__c: 'c-1', State__c: 'STARTED', Mode__c: 'SILENT', ...over } }
});

beforeEach(() => {
    jest.useFakeTimers();
    subscribe.mockImplementation(async (channel, replay, f) => {
        say = async (over) => {
            f(event(over));
            await settle();
        };
        return { channel, replay };
    });
});
afterEach(() => {
    document.body.replaceChildren();
    hide(false);
    jest.clearAllMocks();
    jest.useRealTimers();
});

it('shows that a supervisor listens, speaks and has left', async () => {
    const text = await show();
    expect(subscribe.mock.calls[0].slice(0, 2)).toEqual(['/event/Supervision_Notice__e', -1]);
    expect(text()).toBe('');
    await say({});
    expect(text()).toBe('A supervisor is listening to this call.');
    await say({ Mode__c: 'BARGE', Supervisor_Name__c: 'Ada' });
    expect(text()).toBe('Ada is on this call and can be heard.');
    await say({ State__c: 'ENDED' });
    expect(text()).toBe('The supervisor has left this call.');
    await jest.advanceTimersByTimeAsync(15000);
    expect(text()).toBe('');
});

it('waits for the last of several supervisors', async () => {
    const text = await show();
    await say({});
    await say({ Supervision_Id__c: 's-2', Supervisor_Name__c: 'Bo' });
    await say({ State__c: 'ENDED' });
    expect(text()).toBe('Bo is listening to this call.');
});

it('shows nothing of other agents, other calls and unknown ends', async () => {
    const text = await show({ recordId: '0LQ000000000001', objectApiName: 'VoiceCall' });
    getRecord.emit({ fields: { VendorCallKey: { value: 'c-1' } } });
    await settle();
    await say({ Agent__c: '005000000000002' });
    await say({ Contact_Id__c: 'c-2' });
    await say({ Supervision_Id__c: null });
    await say({ State__c: 'ENDED' });
    expect(text()).toBe('');
    await say({});
    expect(text()).not.toBe('');
});

it('is subscribed only while it is visible', async () => {
    await show();
    hide(true);
    expect(unsubscribe).toHaveBeenCalledTimes(1);
    hide(false);
    await settle();
    expect(subscribe).toHaveBeenCalledTimes(2);
    document.body.replaceChildren();
    expect(unsubscribe).toHaveBeenCalledTimes(2);
});

it('gives back a subscription that was granted after the page was left', async () => {
    let grant;
    subscribe.mockImplementation(() => new Promise((done) => (grant = done)));
    await show();
    document.body.replaceChildren();
    grant({ channel: 'x' });
    await settle();
    expect(unsubscribe).toHaveBeenCalledTimes(1);
});
