/**
 * A page with supervisorBoard in jsdom, with an Apex mock that answers from `org`. Importing this module sets up and removes the page
 * for each test.
 */
import { createElement } from 'lwc';
import SupervisorBoard from 'c/supervisorBoard';
import { registerLegControl } from 'c/legControl';
import board from '@salesforce/apex/SidedoorBoard.board';
import mine from '@salesforce/apex/SidedoorController.mine';
import listen from '@salesforce/apex/SidedoorController.listen';
import disconnect from '@salesforce/apex/SidedoorController.disconnect';
import disconnectMine from '@salesforce/apex/SidedoorController.disconnectMine';
import disconnectAtRisk from '@salesforce/apex/SidedoorController.disconnectAtRisk';
import settings from '@salesforce/apex/SidedoorController.settings';
import directivesAfter from '@salesforce/apex/SidedoorController.directivesAfter';
import streamTicket from '@salesforce/apex/SidedoorController.streamTicket';

jest.mock('@salesforce/apex/SidedoorBoard.board', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.mine', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.listen', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnect', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnectMine', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.disconnectAtRisk', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.settings', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.directivesAfter', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.acknowledge', () => ({ default: jest.fn() }), { virtual: true });
jest.mock('@salesforce/apex/SidedoorController.streamTicket', () => ({ default: jest.fn() }), { virtual: true });

/** What the fake service has. */
export const org = { board: null, mine: [] };

export function contact(contactId, over = {}) {
    return {
        contactId,
        channel: 'VOICE',
        queueId: 'q-1',
        queue: 'Sales',
        state: 'CONNECTED',
        stateSince: '2026-08-04T17:40:00.000Z',
        connectedAt: '2026-08-04T17:40:00.000Z',
        supervisions: [],
        ...over
    };
}

export function agent(name, contacts = [], over = {}) {
    return {
        instance: 'main',
        agentUserId: `id-${name}`,
        username: name,
        status: 'Available',
        statusSince: '2026-08-04T17:30:00.000Z',
        routingProfileId: 'r-1',
        hierarchyGroupIds: [],
        contacts,
        isYou: false,
        ...over
    };
}

export function boardOf(agents, over = {}) {
    return { source: 'SIDEDOOR', agents, voiceCallIds: {}, asOf: '2026-08-04T17:43:00.000Z', isComplete: true, problem: null, ...over };
}

export const apexProblem = (code, status, over = {}) => ({
    body: { message: JSON.stringify({ code, title: code, detail: code, status, ...over }) }
});

export function hide(hidden) {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (hidden ? 'hidden' : 'visible') });
    document.dispatchEvent(new CustomEvent('visibilitychange'));
}

beforeEach(() => {
    jest.useFakeTimers();
    window.sessionStorage.clear();
    org.board = boardOf([agent('bo', [contact('c-1')])]);
    org.mine = [];
    board.mockImplementation(async () => JSON.parse(JSON.stringify(org.board)));
    mine.mockImplementation(async () => [...org.mine]);
    settings.mockResolvedValue({ deliveryMode: 'POLL', eventChannel: null, streamUrl: null, pollSeconds: 5 });
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
    hide(false);
    registerLegControl(null);
    jest.clearAllMocks();
    jest.useRealTimers();
});

export async function settle() {
    for (let i = 0; i < 30; i += 1) {
        await Promise.resolve();
    }
}

export async function pass(ms) {
    await jest.advanceTimersByTimeAsync(ms);
    await settle();
}

export async function show(over = {}) {
    const element = createElement('c-supervisor-board', { is: SupervisorBoard });
    Object.assign(element, { timeZone: 'UTC', ...over });
    document.body.appendChild(element);
    await settle();
    const root = element.shadowRoot;
    const get = (id) => root.querySelector(`[data-id="${id}"]`);
    const text = (id) => (get(id) ? get(id).textContent.replace(/\s+/g, ' ').trim() : null);
    const rows = () => [...root.querySelectorAll('c-board-row')];
    const row = (name) => rows().find(({ row: { name: shown } }) => shown === name).shadowRoot;
    const inRow = (name, id) => row(name).querySelector(`[data-id="${id}"]`);
    const chips = (name) => [...row(name).querySelectorAll('[data-chip]')].map((chip) => chip.textContent);
    const click = async (what) => {
        what.click();
        await settle();
    };
    const change = async (id, detail, target = {}) => {
        Object.assign(get(id), target);
        get(id).dispatchEvent(new CustomEvent('change', { detail }));
        await settle();
    };
    return { element, root, get, text, rows, row, inRow, chips, click, change };
}

export { board, mine, listen, disconnect, disconnectMine, disconnectAtRisk, settings, directivesAfter };
