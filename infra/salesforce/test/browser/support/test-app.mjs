/**
 * Runs a real `sidedoor serve` and `sidedoor fakes` on free ports during a test. SIDEDOOR_BIN is the path of the binary.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { signed } from './sigv4.mjs';

const INSTANCE = '11111111-2222-4333-8444-555555555555';
const AWS = { accessKey: 'fake-access-key', secretKey: 'fake-secret-key', region: 'us-west-2' };
/** The API keys of the test app. They are valid only on loopback while it runs. */
export const KEYS = {
    reader: 'reader-key-of-browser-tests',
    operator: 'operator-key-of-browser-tests',
    events: 'events-key-of-browser-tests',
    // One supervisor for each test, so that a failed test does not affect another.
    ...Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`ada-${i + 1}`, `key-of-ada-${i + 1}-of-browser-tests`]))
};

/** The scopes of a supervisor's key. */
const SUPERVISOR = 'supervise", "barge", "board", "presence';

export async function freePort() {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
}

/** Repeats `check` until it returns a true value, and returns that. Fails with `description` after `ms`. */
export async function until(check, description, ms = 15000) {
    const end = Date.now() + ms;
    let last;
    for (;;) {
        try {
            last = await check();
            if (last) {
                return last;
            }
        } catch (e) {
            last = e;
        }
        if (Date.now() > end) {
            throw new Error(`timeout: ${description} (${last instanceof Error ? last.message : JSON.stringify(last)})`);
        }
        await new Promise((done) => setTimeout(done, 50));
    }
}

async function json(url, init = {}) {
    const { body, headers, ...rest } = init;
    const answer = await fetch(url, {
        ...rest,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        body: body === undefined ? undefined : JSON.stringify(body)
    });
    const text = await answer.text();
    const isJson = (answer.headers.get('content-type') || '').includes('json');
    const read = isJson && text ? JSON.parse(text) : null;
    if (!answer.ok) {
        throw Object.assign(new Error(`${answer.status} ${text}`), { status: answer.status, body: read });
    }
    return read;
}

export class TestApp {
    /** @param {string[]} origins the origins of pages that may open streams */
    static async open(origins) {
        const app = new TestApp();
        app.bin = process.env.SIDEDOOR_BIN;
        if (!app.bin) {
            throw new Error('SIDEDOOR_BIN must be the path of the sidedoor binary (cargo build)');
        }
        app.folder = await mkdtemp(path.join(tmpdir(), 'sidedoor-browser-'));
        try {
            await app.startFakes();
            await app.startService(origins);
        } catch (e) {
            await app.close();
            throw e;
        }
        return app;
    }

    async startFakes() {
        const args = ['fakes', '--connect-listen', '127.0.0.1:0', '--salesforce-listen', '127.0.0.1:0'];
        this.fakes = spawn(this.bin, args, { stdio: ['ignore', 'pipe', 'ignore'] });
        const [line] = await once(createInterface(this.fakes.stdout), 'line');
        const { connectUrl, salesforceUrl } = JSON.parse(line);
        this.connectUrl = connectUrl;
        this.salesforceUrl = salesforceUrl;
        await this.connect('PATCH', '/_fake/settings', { clock: { skewMs: 1370 } });
        const supervisors = Object.keys(KEYS).filter((name) => name.startsWith('ada-'));
        await Promise.all(supervisors.map((userId) => this.connect('POST', '/_fake/users', { userId, username: userId })));
    }

    async startService(origins) {
        const port = await freePort();
        this.url = `http://127.0.0.1:${port}`;
        const keys = Object.entries(KEYS).map(([name, secret]) => {
            const scopes = { reader: 'read', operator: 'operate", "read', events: 'events' }[name] || SUPERVISOR;
            const bindings = {
                [SUPERVISOR]: `supervisor = "${name}"\n`,
                events: 'vendor = "amazon-connect"\ninstances = ["main"]\n'
            };
            const bound = bindings[scopes] || '';
            return `[[auth.api_keys]]\nname = "${name}"\nsecret = "${secret}"\nscopes = ["${scopes}"]\n${bound}`;
        });
        const config = `
[http]
listen = "127.0.0.1:${port}"
cors_allowed_origins = [${origins.map((o) => `"${o}"`).join(', ')}]
[store]
url = "sqlite://${path.join(this.folder, 'sidedoor.db')}"
[connect.instances.main]
instance_id = "${INSTANCE}"
region = "${AWS.region}"
account_id = "111122223333"
endpoint_url = "${this.connectUrl}"
[connect.quotas.default.default]
per_second = 100
burst = 100
[salesforce]
login_url = "${this.salesforceUrl}"
client_id = "fake-client-id"
client_secret = "fake-client-secret"
linger_ms = 0
${keys.join('')}`;
        const file = path.join(this.folder, 'sidedoor.toml');
        // It holds secrets, so the service refuses it if others may read it.
        await writeFile(file, config, { mode: 0o600 });
        const env = { ...process.env, AWS_ACCESS_KEY_ID: AWS.accessKey, AWS_SECRET_ACCESS_KEY: AWS.secretKey };
        this.service = spawn(this.bin, ['serve', '--config', file], { env, stdio: ['ignore', 'pipe', 'pipe'] });
        this.log = [];
        for (const stream of [this.service.stdout, this.service.stderr]) {
            createInterface(stream).on('line', (line) => this.log.push(line) > 2000 && this.log.shift());
        }
        await until(() => fetch(`${this.url}/readyz`).then((r) => r.ok), 'the service is ready');
        await this.deliverEvents();
    }

    /** Lets fake Connect deliver its events to the service, with a small delay. */
    async deliverEvents() {
        await this.connect('PATCH', '/_fake/events', {
            target: `${this.url}/v1/events/connect`,
            apiKey: KEYS.events,
            delayMinMs: 20,
            delayMaxMs: 100,
            duplicate: 0,
            reorder: 0,
            loss: 0,
            contactEvents: true,
            agentEvents: true
        });
    }

    /** Sends a request to Sidedoor with the API key named `as`. */
    ask(as, method, where, body, headers = {}) {
        return json(`${this.url}${where}`, { method, body, headers: { authorization: `Bearer ${KEYS[as]}`, ...headers } });
    }

    /** Sends a request to fake Connect. */
    connect(method, where, body) {
        return json(`${this.connectUrl}${where}`, { method, body });
    }

    /** The contacts that Connect reports for a user. */
    async contactsOf(user) {
        const url = `${this.connectUrl}/metrics/userdata/${INSTANCE}`;
        const data = await signed(url, { Filters: { Agents: [user] } }, AWS);
        const [mine] = data.UserDataList || [];
        return mine ? mine.Contacts || [] : [];
    }

    /** Starts a call between a customer and an agent, or another contact, and returns its contact id. */
    async call(over = {}) {
        const { contactId } = await this.connect('POST', '/_fake/contacts', over);
        return contactId;
    }

    supervision(id) {
        return this.ask('reader', 'GET', `/v1/supervisions/${id}`);
    }

    /** The records in the fake Salesforce org. */
    records() {
        return json(`${this.salesforceUrl}/_fake/rows/VoiceCallParticipant__c`);
    }

    async close() {
        for (const child of [this.service, this.fakes]) {
            if (child && child.exitCode === null) {
                child.kill('SIGTERM');
                const gone = once(child, 'exit');
                const late = setTimeout(() => child.kill('SIGKILL'), 5000);
                await gone;
                clearTimeout(late);
            }
        }
        await rm(this.folder, { recursive: true, force: true });
    }
}
