/**
 * A record page with supervisorPresence in jsdom, with an Apex mock that answers from `org.world`. Importing this module sets up and
 * removes the page for each test.
 */
import { createElement } from 'lwc';
import SupervisorPresence from 'c/supervisorPresence';
import { registerLegControl } from 'c/legControl';
import settings from '@salesforce/apex/SidedoorController.settings';
import presence from '@salesforce/apex/SidedoorController.presence';
import listen from '@salesforce/apex/SidedoorController.listen';
import changeMode from '@salesforce/apex/SidedoorController.changeMode';
import disconnect from '@salesforce/apex/SidedoorController.disconnect';
import disconnectAtRisk from '@salesforce/apex/SidedoorController.disconnectAtRisk';
import disconnectMine from '@salesforce/apex/SidedoorController.disconnectMine';
import directivesAfter from '@salesforce/apex/SidedoorController.directivesAfter';
import acknowledge from '@salesforce/apex/SidedoorController.acknowledge';
import streamTicket from '@salesforce/apex/SidedoorController.streamTicket';
import liveCall from '@salesforce/apex/SidedoorAgentCall.liveCall';

jest.mock('@salesforce/apex/SidedoorController.settings', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.presence', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.listen', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.changeMode', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnect', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnectAtRisk', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnectMine', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.directivesAfter', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.acknowledge', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.streamTicket', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorAgentCall.liveCall', () => ({ default: jest.fn() }), { virtual: true });

export const CONTACT = 'customer-1';
export const apexProblem = (code, status, detail = code) => ({
    body: { message: JSON.stringify({ code, title: code, detail, status }) }
});
export const lost = () => ({ body: { message: 'Read timed out' }, statusText: 'Server Error' });

export const net = { online: true };
Object.defineProperty(window.navigator, 'onLine', { configurable: true, get: () => net.online });

/** The state of the fake service, from which every refresh is answered. */
export const org = { world: null };

beforeEach(() => {
    jest.useFakeTimers();
    net.online = true;
    org.world = { supervisions: [], mySupervisionId: null };
    window.sessionStorage.clear();
    settings.mockResolvedValue({ deliveryMode: 'POLL', eventChannel: null, streamUrl: null, pollSeconds: 10 });
    presence.mockImplementation(async () => ({ ...org.world }));
    directivesAfter.mockResolvedValue({ items: [], nextAfter: '0', channelKey: 'mine' });
    streamTicket.mockImplementation(async () => ({
        ticket: 't',
        connectUserId: 'supervisor-1',
        expiresAt: new Date(Date.now() + 60000).toISOString()
    }));
});

afterEach(() => {
    while (document.body.firstChild) {
        document.body.removeChild(document.body.firstChild);
    }
    registerLegControl(null);
    jest.clearAllMocks();
    jest.useRealTimers();
});

export async function settle() {
    for (let i = 0; i < 20; i += 1) {
        await Promise.resolve();
    }
}

export async function pass(ms) {
    await jest.advanceTimersByTimeAsync(ms);
    await settle();
}

export async function show(over = {}) {
    const element = createElement('c-supervisor-presence', { is: SupervisorPresence });
    Object.assign(element, { contactId: CONTACT, timeZone: 'UTC', ...over });
    document.body.appendChild(element);
    await settle();
    const get = (id) => element.shadowRoot.querySelector(`[data-id="${id}"]`);
    const text = (id) => (get(id) ? get(id).textContent.trim() : null);
    const steps = () =>
        [...element.shadowRoot.querySelectorAll('[data-step]')].map((li) => [li.dataset.step, li.dataset.status]);
    const press = async (id) => {
        get(id).click();
        await settle();
    };
    return { element, get, text, steps, press };
}

export function mine(s) {
    org.world = { supervisions: [s], mySupervisionId: s.id };
}

export { settings, presence, listen, changeMode, disconnect, disconnectAtRisk, disconnectMine, directivesAfter, acknowledge, liveCall };
