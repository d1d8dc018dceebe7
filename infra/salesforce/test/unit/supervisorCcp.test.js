/** The component that holds the CCP: when it offers leg control, and when it takes it back. */
import { createElement } from 'lwc';
import { loadScript } from 'lightning/platformResourceLoader';
import SupervisorCcp from 'c/supervisorCcp';
import { currentLegControl, onLegControl, registerLegControl } from 'c/legControl';

const settle = async () => {
    for (let i = 0; i < 10; i += 1) {
        await Promise.resolve();
    }
};

function show() {
    const element = createElement('c-supervisor-ccp', { is: SupervisorCcp });
    element.ccpUrl = 'https://acme.my.connect.aws/ccp-v2/';
    document.body.appendChild(element);
    return element;
}

afterEach(() => {
    document.body.replaceChildren();
    delete window.connect;
    registerLegControl(null);
});

it('opens the CCP, offers leg control once somebody is logged in, and takes it back when it goes', async () => {
    let loggedIn;
    const initCCP = jest.fn();
    loadScript.mockImplementation(async () => {
        window.connect = { core: { initCCP, initialized: false }, agent: (f) => (loggedIn = f) };
    });
    const heard = [];
    const forget = onLegControl((control) => heard.push(control !== null));
    const element = show();
    await settle();
    expect(loadScript.mock.calls[0][1]).toBe('/resource/amazonConnectStreams');
    expect(initCCP).toHaveBeenCalledTimes(1);
    expect(initCCP.mock.calls[0][1]).toMatchObject({ ccpUrl: 'https://acme.my.connect.aws/ccp-v2/', loginPopup: true });
    expect(currentLegControl()).toBeNull();
    loggedIn();
    loggedIn();
    expect(currentLegControl()).not.toBeNull();
    document.body.removeChild(element);
    expect(currentLegControl()).toBeNull();
    expect(heard).toEqual([true, false]);
    forget();
});

it('uses a CCP that the page has opened already', async () => {
    const initCCP = jest.fn();
    window.connect = { core: { initCCP, initialized: true }, agent: (f) => f() };
    loadScript.mockClear();
    show();
    await settle();
    expect(loadScript).not.toHaveBeenCalled();
    expect(initCCP).not.toHaveBeenCalled();
    expect(currentLegControl()).not.toBeNull();
});

it('says when the CCP cannot be opened', async () => {
    loadScript.mockRejectedValue(new Error('no such resource'));
    const element = show();
    await settle();
    expect(element.shadowRoot.querySelector('[role="alert"]').textContent).toContain('no such resource');
    expect(currentLegControl()).toBeNull();
});
