/** The component that holds the CCP: when it registers and removes leg control, and what it cleans up. */
import { createElement } from 'lwc';
import { loadScript } from 'lightning/platformResourceLoader';
import SupervisorCcp from 'c/supervisorCcp';
import { currentLegControl, onLegControl, registerLegControl } from 'c/legControl';
import settings from '@salesforce/apex/SidedoorController.settings';
import directivesAfter from '@salesforce/apex/SidedoorController.directivesAfter';
import streamTicket from '@salesforce/apex/SidedoorController.streamTicket';
import { agentData, leg } from '../support/agentData';

jest.mock('@salesforce/apex/SidedoorController.settings', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.directivesAfter', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.acknowledge', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.streamTicket', () => ({ default: jest.fn() }), { virtual: true });

const settle = async () => {
    for (let i = 0; i < 20; i += 1) {
        await Promise.resolve();
    }
};

/** A fake of Streams, with a frame in the panel and the behaviour of the real `core.terminate`. */
function streams() {
    let listeners = [];
    const connect = {
        initialized: false,
        contacts: [],
        core: {
            initialized: false,
            initCCP: jest.fn((panel) => {
                const frame = document.createElement('iframe');
                panel.appendChild(frame);
                connect.frame = frame;
            }),
            terminate: jest.fn(() => {
                listeners = [];
                connect.core.initialized = false;
                connect.initialized = false;
            }),
            _getCCPIframe: () => (connect.frame && connect.frame.isConnected ? connect.frame : null)
        },
        agent: jest.fn((f) => {
            listeners.push(f);
            if (connect.initialized) {
                f(agent);
            }
        }),
        Agent: class {
            getContacts() {
                return connect.contacts;
            }
        }
    };
    const agent = { onRefresh: (f) => (connect.refresh = f) };
    connect.logIn = () => {
        connect.core.initialized = true;
        connect.initialized = true;
        listeners.forEach((f) => f(agent));
    };
    return connect;
}

function show() {
    const element = createElement('c-supervisor-ccp', { is: SupervisorCcp });
    element.ccpUrl = 'https://acme.my.connect.aws/ccp-v2/';
    document.body.appendChild(element);
    return element;
}

beforeEach(() => {
    settings.mockResolvedValue({ deliveryMode: 'POLL', pollSeconds: 10 });
    directivesAfter.mockResolvedValue({ items: [], nextAfter: '0', channelKey: 'mine' });
    streamTicket.mockImplementation(async () => ({ ticket: 't', connectUserId: 'sup-1', expiresAt: new Date().toISOString() }));
});
afterEach(() => {
    document.body.replaceChildren();
    delete window.connect;
    registerLegControl(null);
    jest.clearAllMocks();
});

it('opens the CCP, registers leg control after login, releases all', async () => {
    const connect = streams();
    loadScript.mockImplementation(async () => {
        window.connect = connect;
    });
    const changes = [];
    const forget = onLegControl((control) => changes.push(control !== null));
    const element = show();
    await settle();
    expect(loadScript.mock.calls[0][1]).toBe('/resource/amazonConnectStreams');
    expect(connect.core.initCCP).toHaveBeenCalledTimes(1);
    expect(connect.core.initCCP.mock.calls[0][1]).toMatchObject({ ccpUrl: 'https://acme.my.connect.aws/ccp-v2/', loginPopup: true });
    expect(currentLegControl()).toBeNull();
    connect.logIn();
    connect.logIn();
    expect(currentLegControl()).not.toBeNull();
    document.body.removeChild(element);
    expect(currentLegControl()).toBeNull();
    expect(changes).toEqual([true, false]);
    expect(connect.core.terminate).toHaveBeenCalledTimes(1);
    expect(connect.frame.isConnected || element.shadowRoot.contains(connect.frame)).toBe(false);
    forget();
});

it('opens a new CCP when it is put back, and acts after its login', async () => {
    const connect = (window.connect = streams());
    const first = show();
    await settle();
    connect.logIn();
    document.body.removeChild(first);
    const second = show();
    await settle();
    expect(connect.core.initCCP).toHaveBeenCalledTimes(2);
    expect(currentLegControl()).toBeNull();
    connect.logIn();
    expect(currentLegControl()).not.toBeNull();
    document.body.removeChild(second);
    // The same element, moved to another place.
    document.body.appendChild(second);
    await settle();
    expect(connect.core.initCCP).toHaveBeenCalledTimes(3);
});

it('of two only one opens a CCP; the other opens its own afterwards', async () => {
    const connect = (window.connect = streams());
    const first = show();
    const second = show();
    await settle();
    connect.logIn();
    expect(connect.core.initCCP).toHaveBeenCalledTimes(1);
    expect(second.shadowRoot.querySelector('[data-id="notice"]').textContent).toContain('open elsewhere');
    document.body.removeChild(first);
    await settle();
    expect(connect.core.initCCP).toHaveBeenCalledTimes(2);
    connect.logIn();
    const newer = {};
    registerLegControl(newer);
    document.body.removeChild(second);
    expect(currentLegControl()).toBe(newer);
});

it('uses a CCP that the page opened, and leaves it open', async () => {
    const connect = (window.connect = streams());
    connect.core.initCCP(document.body);
    connect.core.initCCP.mockClear();
    connect.logIn();
    const element = show();
    await settle();
    expect(loadScript).not.toHaveBeenCalled();
    expect(connect.core.initCCP).not.toHaveBeenCalled();
    expect(currentLegControl()).not.toBeNull();
    document.body.removeChild(element);
    expect(currentLegControl()).toBeNull();
    expect(connect.core.terminate).not.toHaveBeenCalled();
    expect(connect.frame.isConnected).toBe(true);
});

it('does not use a CCP whose frame is gone', async () => {
    const connect = (window.connect = streams());
    connect.core.initCCP(document.body);
    connect.logIn();
    connect.frame.remove();
    connect.core.initCCP.mockClear();
    show();
    await settle();
    expect(connect.core.terminate).toHaveBeenCalledTimes(1);
    expect(connect.core.initCCP).toHaveBeenCalledTimes(1);
    expect(currentLegControl()).toBeNull();
});

it('receives directives by itself and polls often while a leg is shown', async () => {
    jest.useFakeTimers();
    const connect = (window.connect = streams());
    const element = show();
    await settle();
    expect(directivesAfter).not.toHaveBeenCalled();
    connect.logIn();
    await settle();
    expect(directivesAfter.mock.calls[0][0]).toEqual({ after: null, acts: true, tab: expect.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) });
    await jest.advanceTimersByTimeAsync(30000);
    expect(directivesAfter).toHaveBeenCalledTimes(1);
    const own = agentData([leg({ contactId: 'leg-1' })]).snapshot.contacts[0];
    connect.contacts = [{ getContactId: () => 'leg-1', getInitiationMethod: () => own.initiationMethod, getAgentConnection: () => null }];
    connect.refresh();
    await jest.advanceTimersByTimeAsync(30000);
    expect(directivesAfter.mock.calls.length).toBeGreaterThanOrEqual(3);
    document.body.removeChild(element);
    const polls = directivesAfter.mock.calls.length;
    await jest.advanceTimersByTimeAsync(120000);
    expect(directivesAfter.mock.calls.length).toBe(polls);
    jest.useRealTimers();
});

it('reports a CCP that cannot be opened', async () => {
    loadScript.mockRejectedValue(new Error('no such resource'));
    const element = show();
    await settle();
    expect(element.shadowRoot.querySelector('[role="alert"]').textContent).toContain('no such resource');
    expect(currentLegControl()).toBeNull();
});
