/**
 * The web servers of a browser test: one serves the Lightning page and a fake of Apex, which holds the API keys as a Named Credential
 * would; the other one, on another origin, serves the simulated Contact Control Panels.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PAGE = path.join(HERE, '../page');
const require = createRequire(import.meta.url);
const ACTIVE = ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'];

async function bodyOf(request) {
    let text = '';
    for await (const chunk of request) {
        text += chunk;
        if (text.length > 1e6) {
            throw new Error('too large');
        }
    }
    return text ? JSON.parse(text) : {};
}

async function serve(handle, port) {
    const server = createServer(async (request, answer) => {
        const url = new URL(request.url, 'http://here');
        try {
            await handle(url, request, answer);
        } catch (e) {
            // Sidedoor's problems are passed on unchanged, as Apex does.
            const body = e.body || { message: e.message };
            answer.writeHead(e.status || 500, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        }
    }).listen(port, '127.0.0.1');
    await once(server, 'listening');
    return server;
}

function send(answer, type, body) {
    answer.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}

export class PageServers {
    static async open(app, { pagePort, ccpPort, mode = 'SSE' }) {
        const servers = new PageServers();
        Object.assign(servers, { app, mode, apexCalls: [], ccpCalls: [], cleared: new Set(), shown: {}, faults: {}, agentCalls: {}, subscribers: new Set() });
        servers.origin = `http://127.0.0.1:${pagePort}`;
        servers.ccpOrigin = `http://127.0.0.1:${ccpPort}`;
        const files = {
            '/page.html': ['text/html', await readFile(path.join(PAGE, 'page.html'))],
            '/app.js': ['text/javascript', await bundle()],
            '/slds.css': ['text/css', await readFile(require.resolve('@salesforce-ux/design-system-2/dist/css/bundled/slds2.cosmos.css'))],
            '/resource/amazonConnectStreams': [
                'text/javascript',
                await readFile(require.resolve('amazon-connect-streams/release/connect-streams-min.js'))
            ]
        };
        const panel = {
            '/login': ['text/html', '<!doctype html><title>Sign in</title>'],
            '/ccp': ['text/html', await readFile(path.join(PAGE, 'ccp.html'))],
            '/storage': ['text/html', await readFile(path.join(PAGE, 'storage.html'))],
            '/ccp.js': ['text/javascript', await readFile(path.join(PAGE, 'ccp.js'))],
            '/agentData.js': ['text/javascript', await readFile(path.join(HERE, '../../support/agentData.js'))]
        };
        servers.page = await serve((...all) => servers.pageServer(files, ...all), pagePort);
        servers.ccp = await serve((...all) => servers.ccpServer(panel, ...all), ccpPort);
        return servers;
    }

    /** Sends a Platform Event to every subscribed page, as the org does. */
    publish(channelKey) {
        const event = JSON.stringify({ payload: { Stream_Key__c: channelKey }, event: { replayId: 1 } });
        this.subscribers.forEach((page) => page.write(`data: ${event}\n\n`));
    }

    close() {
        for (const server of [this.page, this.ccp]) {
            server.closeAllConnections();
            server.close();
        }
    }

    /** `login: 'none'` is a CCP whose user never signs in; `login: 'storage'` is one that first asks for storage access. */
    urlFor(user, contact, { ccp = true, login = 'done', presence = true, agent = null, settings = {} } = {}) {
        const query = new URLSearchParams({ user, contact, ...settings });
        const storage = login === 'storage';
        if (ccp) {
            // Streams accepts, besides Amazon Connect's own addresses, only "localhost" for storage access.
            const storagePanel = `${this.ccpOrigin.replace('127.0.0.1', 'localhost')}/panel-of/${user}`;
            query.set('ccp', storage ? storagePanel : `${this.ccpOrigin}/${login === 'none' ? 'login' : 'ccp'}?user=${user}`);
        }
        if (storage) {
            query.set('storage', 'yes');
        }
        if (agent) {
            query.set('agent', agent);
        }
        if (!presence) {
            query.set('presence', 'no');
        }
        return `${this.origin}/page.html?${query}`;
    }

    async pageServer(files, url, request, answer) {
        if (files[url.pathname]) {
            send(answer, ...files[url.pathname]);
            return;
        }
        if (url.pathname === '/events') {
            answer.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n');
            this.subscribers.add(answer);
            request.on('close', () => this.subscribers.delete(answer));
            return;
        }
        const apex = /^\/apex\/(\w+)$/.exec(url.pathname);
        if (!apex) {
            answer.writeHead(404).end();
            return;
        }
        const params = await bodyOf(request);
        const user = url.searchParams.get('user');
        this.apexCalls.push({ method: apex[1], user, params });
        const fault = this.faults[apex[1]];
        if (fault && fault.length > 0) {
            if (fault.shift() === 'after') {
                await this.apex(apex[1], user, params);
            }
            answer.destroy();
            return;
        }
        // Apex leaves out members that are null.
        const body = JSON.stringify(await this.apex(apex[1], user, params), (_name, value) => value ?? undefined);
        send(answer, 'application/json', body);
    }

    /** As SidedoorBoard without VoiceCall: at most five pages of agents. */
    async board(ask, filter) {
        const board = { source: 'SIDEDOOR', agents: [], voiceCallIds: {}, isComplete: true };
        let cursor = null;
        for (let page = 0; page < 5; page += 1) {
            const query = new URLSearchParams([...filter, ['pageSize', '200'], ...(cursor ? [['cursor', cursor]] : [])]);
            const read = await ask('GET', `/v1/agents?${query}`);
            board.agents.push(...read.items);
            board.asOf = read.asOf;
            board.isComplete = board.isComplete && read.isComplete;
            cursor = read.nextCursor;
            if (!cursor) {
                return board;
            }
        }
        return { ...board, isComplete: false };
    }

    /** A fake of the classes SidedoorController, SidedoorBoard and SidedoorAgentCall. */
    async apex(method, user, p) {
        const key = p.requestKey ? { 'idempotency-key': p.requestKey } : {};
        const ask = (verb, where, body) => this.app.ask(user, verb, where, body, key);
        switch (method) {
            case 'settings':
                return {
                    deliveryMode: this.mode,
                    eventChannel: '/event/Supervisor_Directive__e',
                    streamUrl: this.mode === 'SSE' ? this.app.url : null,
                    // So long that only the event can have triggered a poll.
                    pollSeconds: this.mode === 'EMP_API' ? 300 : 2
                };
            case 'presence': {
                const query = new URLSearchParams({ contactId: p.contactId, pageSize: '50' });
                const { items } = await ask('GET', `/v1/supervisions?${query}`);
                const mine = items.filter((s) => s.supervisor.connectUserId === user);
                const active = mine.find((s) => ACTIVE.includes(s.state));
                return { supervisions: items, mySupervisionId: active ? active.id : null };
            }
            case 'mine': {
                const query = new URLSearchParams({ connectUserId: user, pageSize: '20' });
                return (await ask('GET', `/v1/supervisions?${query}`)).items;
            }
            case 'board':
                return this.board(ask, Object.entries(p.filter || {}).filter(([, value]) => value));
            case 'liveCall': {
                const contactId = this.agentCalls[p.agentUserId];
                return contactId ? { status: 'FOUND', contactId } : { status: 'NONE' };
            }
            case 'listen': {
                const { contactId, mode, leaveCurrent } = p;
                const body = { contactId, supervisor: { connectUserId: user }, mode, leaveCurrent, ...(p.reason ? { reason: p.reason } : {}) };
                return ask('POST', '/v1/supervisions', body);
            }
            case 'changeMode':
                return ask('POST', `/v1/supervisions/${p.supervisionId}/mode`, { mode: p.mode });
            case 'disconnect':
                return ask('POST', `/v1/supervisions/${p.supervisionId}/disconnect`, {});
            case 'disconnectAtRisk': {
                // As in Apex, with the operator's credential.
                const body = { reason: p.reason, customerCallMayEnd: true };
                return this.app.ask('operator', 'POST', `/v1/supervisions/${p.supervisionId}/disconnect`, body, key);
            }
            case 'disconnectMine':
                return ask('POST', '/v1/supervisors/me/disconnect', {});
            case 'directivesAfter': {
                const query = new URLSearchParams({ acts: String(p.acts === true) });
                if (p.after) {
                    query.set('after', p.after);
                }
                if (p.acts === true) {
                    query.set('tab', p.tab);
                }
                return ask('GET', `/v1/supervisors/me/directives?${query}`);
            }
            case 'acknowledge': {
                const { directiveId, outcome, at, detail } = p;
                return ask('POST', `/v1/supervisions/${p.supervisionId}/acknowledgements`, { directiveId, outcome, at, detail });
            }
            case 'streamTicket':
                return ask('POST', '/v1/supervisors/me/tickets', {});
            default:
                throw new Error(`no such method: ${method}`);
        }
    }

    async ccpServer(files, url, request, answer) {
        if (files[url.pathname]) {
            send(answer, ...files[url.pathname]);
            return;
        }
        const storage = /^\/panel-of\/([\w-]+)(\/request-storage-access)?$/.exec(url.pathname);
        if (storage && storage[2]) {
            send(answer, ...files['/storage']);
            return;
        }
        if (storage) {
            answer.writeHead(302, { location: `/ccp?user=${storage[1]}` }).end();
            return;
        }
        const user = url.searchParams.get('user');
        if (url.pathname === '/sim/contacts') {
            send(answer, 'application/json', JSON.stringify(await this.contactsOf(user)));
        } else if (url.pathname === '/sim/api') {
            send(answer, 'application/json', JSON.stringify(await this.handleCcpCall(user, await bodyOf(request))));
        } else {
            answer.writeHead(404).end();
        }
    }

    /** What a user's CCP shows: the contacts that Connect reports, and ended ones until they are cleared. */
    async contactsOf(user) {
        const live = await this.app.contactsOf(user);
        const shown = (this.shown[user] ||= new Set());
        live.forEach(({ ContactId }) => shown.add(ContactId));
        const seen = await Promise.all(
            [...shown]
                .filter((id) => !this.cleared.has(id))
                .map(async (id) => {
                    const contact = await this.app.connect('GET', `/_fake/contacts/${id}`);
                    if (contact.initiationMethod !== 'MONITOR') {
                        return { kind: 'CUSTOMER', contactId: id, state: contact.ended ? 'ended' : 'connected' };
                    }
                    const supervised = await this.app.connect('GET', `/_fake/contacts/${contact.supervised}`);
                    return {
                        kind: 'LEG',
                        contactId: id,
                        mode: contact.mode || 'SILENT_MONITOR',
                        state: contact.ended ? 'ended' : 'connected',
                        agentThere: !supervised.agentGone
                    };
                })
        );
        return seen;
    }

    /** Handles a request of Streams as a CCP does, including harmful ones, which would then show up in fake Connect's ledger. */
    async handleCcpCall(user, { method, params }) {
        if (method === 'sendClientLogs') {
            return {};
        }
        this.ccpCalls.push({ user, method, params });
        const fault = this.faults[method];
        if (fault && fault.length > 0) {
            await fault.shift()();
        }
        const { contactId, connectionId } = params;
        switch (method) {
            case 'destroyConnection': {
                const contact = await this.app.connect('GET', `/_fake/contacts/${contactId}`);
                if (contact.initiationMethod === 'MONITOR' && connectionId === `${contactId}-self`) {
                    return this.app.connect('POST', `/_fake/ccp/${user}/end-leg`, { legContactId: contactId });
                }
                return this.app.connect('POST', `/_fake/contacts/${contact.supervised || contactId}/hang-up`, { by: 'AGENT' });
            }
            case 'clearContact':
                this.cleared.add(contactId);
                return {};
            case 'updateMonitorParticipantState':
                return this.app.connect('POST', `/_fake/ccp/${user}/mode`, {
                    legContactId: contactId,
                    mode: params.targetMonitorMode
                });
            default:
                throw new Error(`the simulated CCP has no ${method}`);
        }
    }
}
