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
    const subscribed = new Map();
    const listen = (name, f) => {
        subscribed.set(name, f);
        return { unsubscribe: () => subscribed.delete(name) };
    };
    const connect = {
        report: (name, value) => subscribed.has(name) && subscribed.get(name)(value),
        subscriptions: () => [...subscribed.keys()],
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
            _getCCPIframe: () => (connect.frame && connect.frame.isConnected ? connect.frame : null),
            onAuthFail: jest.fn((f) => listen('onAuthFail', f)),
            onAccessDenied: jest.fn((f) => listen('onAccessDenied', f)),
            onIframeRetriesExhausted: jest.fn((f) => listen('onIframeRetriesExhausted', f))
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
    const agent = {
        onRefresh: (f) => (connect.refresh = f),
        onSoftphoneError: (f) => listen('onSoftphoneError', f)
    };
    connect.logIn = () => {
        connect.core.initialized = true;
        connect.initialized = true;
        listeners.forEach((f) => f(agent));
    };
    return connect;
}

function show(settings = { ccpUrl: 'https://acme.my.connect.aws/ccp-v2/' }) {
    const element = createElement('c-supervisor-ccp', { is: SupervisorCcp });
    Object.assign(element, settings);
    document.body.appendChild(element);
    return element;
}

const notice = (element) => element.shadowRoot.querySelector('[data-id="notice"]').textContent;
const problem = (element) => {
    const shown = element.shadowRoot.querySelector('[role="alert"]');
    return shown && shown.textContent;
};

beforeEach(() => {
    settings.mockResolvedValue({ deliveryMode: 'POLL', pollSeconds: 10 });
    directivesAfter.mockResolvedValue({ items: [], nextAfter: '0', channelKey: 'mine' });
    streamTicket.mockImplementation(async () => ({ ticket: 't', connectUserId: 'sup-1', expiresAt: new Date().toISOString() }));
});
afterEach(() => {
    document.body.replaceChildren();
    delete window.connect;
    delete window.sforce;
    registerLegControl(null);
    jest.useRealTimers();
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

describe('the settings', () => {
    it('reach Streams: login address, instance and storage access', async () => {
        const connect = (window.connect = streams());
        show({ instanceUrl: 'https://acme.my.connect.aws', loginUrl: 'https://idp.example.com/start', requestStorageAccess: true });
        await settle();
        expect(connect.core.initCCP.mock.calls[0][1]).toEqual({
            ccpUrl: 'https://acme.my.connect.aws/ccp-v2/',
            loginUrl: 'https://idp.example.com/start',
            loginPopup: true,
            loginPopupAutoClose: true,
            softphone: { allowFramedSoftphone: true },
            storageAccess: { canRequest: true, mode: 'default', instanceUrl: 'https://acme.my.connect.aws/' }
        });
    });

    it.each([
        [{}, 'is missing'],
        [{ ccpUrl: 'https://evil.example/ccp-v2/' }, 'is not an address of Amazon Connect'],
        [{ ccpUrl: 'https://acme.my.connect.aws/ccp-v2/', loginUrl: 'ftp://x' }, 'SSO login URL']
    ])('%j open nothing and say why', async (given, words) => {
        const connect = (window.connect = streams());
        const element = show(given);
        await settle();
        expect(problem(element)).toContain(words);
        expect(connect.core.initCCP).not.toHaveBeenCalled();
        expect(connect.agent).not.toHaveBeenCalled();
        // A panel that does not open must not keep another one from opening.
        show();
        await settle();
        expect(connect.core.initCCP).toHaveBeenCalledTimes(1);
    });
});

describe('an Open CTI softphone on the page', () => {
    it('is refused in words', async () => {
        const connect = (window.connect = streams());
        window.sforce = { opencti: {} };
        const element = show();
        await settle();
        expect(problem(element)).toContain('Open CTI softphone');
        expect(connect.core.initCCP).not.toHaveBeenCalled();
        expect(currentLegControl()).toBeNull();
    });

    it('is refused too if it appears while the library is loading', async () => {
        const connect = streams();
        loadScript.mockImplementation(async () => {
            window.connect = connect;
            window.sforce = { opencti: {} };
        });
        const element = show();
        await settle();
        expect(problem(element)).toContain('Open CTI softphone');
        expect(connect.core.initCCP).not.toHaveBeenCalled();
        // Without the softphone the same element works once it is put back.
        delete window.sforce;
        document.body.removeChild(element);
        document.body.appendChild(element);
        await settle();
        expect(problem(element)).toBeNull();
        expect(connect.core.initCCP).toHaveBeenCalledTimes(1);
    });
});

describe('the sign-in', () => {
    it('is asked for in words after 20 s, until it happens', async () => {
        jest.useFakeTimers();
        const connect = (window.connect = streams());
        const element = show();
        await jest.advanceTimersByTimeAsync(19000);
        expect(notice(element)).toBe('');
        await jest.advanceTimersByTimeAsync(2000);
        expect(notice(element)).toContain('You are not signed in to Amazon Connect');
        connect.logIn();
        await settle();
        expect(notice(element)).toBe('');
    });

    it('with storage access also mentions the cookies', async () => {
        jest.useFakeTimers();
        window.connect = streams();
        const element = show({ instanceUrl: 'https://acme.my.connect.aws', requestStorageAccess: true });
        await jest.advanceTimersByTimeAsync(21000);
        expect(notice(element)).toContain('Allow cookies in the panel');
    });

    it('in time leaves no notice', async () => {
        jest.useFakeTimers();
        const connect = (window.connect = streams());
        const element = show();
        await jest.advanceTimersByTimeAsync(1000);
        connect.logIn();
        await jest.advanceTimersByTimeAsync(30000);
        expect(notice(element)).toBe('');
    });

    it.each([
        ['onAuthFail', 'rejected or ended your sign-in'],
        ['onAccessDenied', 'denied access'],
        ['onIframeRetriesExhausted', 'has not loaded']
    ])('%s is reported until data arrives again', async (name, words) => {
        const connect = (window.connect = streams());
        const element = show();
        await settle();
        connect.logIn();
        connect.report(name);
        await settle();
        expect(notice(element)).toContain(words);
        connect.refresh();
        await settle();
        expect(notice(element)).toBe('');
    });

    it('keeps the more exact reason when the 20 s are over', async () => {
        jest.useFakeTimers();
        const connect = (window.connect = streams());
        const element = show();
        await settle();
        connect.report('onAccessDenied');
        await jest.advanceTimersByTimeAsync(25000);
        expect(notice(element)).toContain('denied access');
    });

    it('is not watched by a panel that is gone', async () => {
        jest.useFakeTimers();
        const connect = (window.connect = streams());
        const element = show();
        await settle();
        connect.logIn();
        document.body.removeChild(element);
        expect(connect.subscriptions()).toEqual([]);
        await jest.advanceTimersByTimeAsync(25000);
        document.body.appendChild(element);
        await settle();
        expect(notice(element)).toBe('');
    });
});

it('a blocked microphone is reported, other softphone errors are not', async () => {
    const connect = (window.connect = streams());
    const element = show();
    await settle();
    connect.logIn();
    connect.report('onSoftphoneError', { getErrorType: () => 'webrtc_error' });
    await settle();
    expect(notice(element)).toBe('');
    connect.report('onSoftphoneError', { getErrorType: () => 'microphone_not_shared' });
    connect.refresh();
    await settle();
    expect(notice(element)).toContain('microphone');
});

it('the library finds the frame in the panel only while it is open', async () => {
    const connect = (window.connect = streams());
    const original = connect.core._getCCPIframe;
    const element = show();
    await settle();
    expect(connect.core._getCCPIframe()).toBe(connect.frame);
    expect(connect.core._getCCPIframe).not.toBe(original);
    document.body.removeChild(element);
    expect(connect.core._getCCPIframe).toBe(original);
});

it('a removed panel stops the timers that would reload its frame', async () => {
    jest.useFakeTimers();
    const connect = (window.connect = streams());
    const element = show();
    await settle();
    const reload = jest.fn();
    connect.core.iframeRefreshTimeout = setTimeout(reload, 5000);
    connect.core.ccpLoadTimeoutInstance = setTimeout(reload, 5000);
    document.body.removeChild(element);
    await jest.advanceTimersByTimeAsync(10000);
    expect(reload).not.toHaveBeenCalled();
});
