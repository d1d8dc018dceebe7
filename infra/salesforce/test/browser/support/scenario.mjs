/** The setup of a browser test: the test app, the page servers, a browser, and tabs in which supervisors work. */
import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';
import { freePort, TestApp, until } from './test-app.mjs';
import { PageServers } from './page-servers.mjs';

const require = createRequire(import.meta.url);
const IMAGES = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../../../docs/images');
/** The size limit for pictures in the documentation. */
const MOST_BYTES = 150 * 1024;

export class Scenario {
    /** @param {object} [options] origins: those that may open streams; default: the page's own */
    static async open({ origins } = {}) {
        const scenario = new Scenario();
        const [pagePort, ccpPort] = [await freePort(), await freePort()];
        scenario.app = await TestApp.open(origins || [`http://127.0.0.1:${pagePort}`]);
        try {
            scenario.servers = await PageServers.open(scenario.app, { pagePort, ccpPort });
            scenario.browser = await launch();
        } catch (e) {
            await scenario.close();
            throw e;
        }
        return scenario;
    }

    async close() {
        if (this.browser) {
            await this.browser.close();
        }
        if (this.servers) {
            this.servers.close();
        }
        await this.app.close();
    }

    /** Opens a tab for a supervisor: a new one in a new browser context unless `user` and `context` are given. */
    async supervisor(contact, options = {}) {
        this.supervisors = (this.supervisors || 0) + 1;
        const user = options.user || `ada-${this.supervisors}`;
        const context = options.context || (await this.browser.newContext({ viewport: options.viewport || { width: 960, height: 660 } }));
        const page = await context.newPage();
        const errors = [];
        page.on('pageerror', (e) => errors.push(e.message));
        await page.goto(this.servers.urlFor(user, contact, options));
        const tab = new Tab(this, page, context, user, errors);
        if (options.ccp !== false && !options.login) {
            await tab.ready();
        }
        return tab;
    }

    /** The requests to the CCPs since `from`. */
    ccpRequests(from = 0) {
        return this.servers.ccpCalls.slice(from).map(({ method, params }) => [method, params.contactId, params.connectionId].filter(Boolean));
    }

    acknowledgements(from = 0) {
        return this.servers.apexCalls.slice(from).filter(({ method }) => method === 'acknowledge');
    }

    /** Checks what the product guarantees: the customer's call goes on, and Sidedoor has ended no customer's contact. */
    async customerIsStillThere(contact) {
        const { ended } = await this.app.connect('GET', `/_fake/contacts/${contact}`);
        assert.equal(ended, false, "the customer's call goes on");
        const ledger = await this.app.connect('GET', '/_fake/ledger');
        assert.deepEqual(ledger.customerContactsWeEnded, []);
        assert.deepEqual(
            ledger.ended.filter(({ kind }) => kind === 'CUSTOMER'),
            [],
            'no customer contact has ended at all'
        );
    }

    /** Reads a supervision until `good` accepts it. */
    async until(id, good, description) {
        return until(async () => {
            const s = await this.app.supervision(id);
            return good(s) ? s : null;
        }, description);
    }

    /** The record of a leg in the fake Salesforce org, once it has the departure. */
    async recordOf(leg) {
        return until(async () => {
            const records = await this.app.records();
            return records.find((record) => record.Leg_Key__c === leg && record.Disconnected_Epoch_Ms__c) || null;
        }, `the record of ${leg}`);
    }
}

class Tab {
    constructor(scenario, page, context, user, errors) {
        Object.assign(this, { scenario, page, context, user, errors });
    }

    ready() {
        return this.page.waitForFunction(() => window.hasControl && window.hasControl(), null, { timeout: 15000 });
    }

    by(id) {
        return this.page.locator(`[data-id="${id}"]`);
    }

    async says(text) {
        await this.by('summary').filter({ hasText: text }).waitFor({ timeout: 15000 });
    }

    /** Waits until the page shows this status for a step. */
    async step(key, status) {
        await this.page.locator(`[data-step="${key}"][data-status="${status}"]`).waitFor({ timeout: 15000 });
    }

    async listens({ speak = false } = {}) {
        if (speak) {
            await this.by('may-speak').locator('input').check();
        }
        await this.by('listen').click();
        await this.says('You are listening to this call');
        const { supervisions, mySupervisionId } = await this.scenario.servers.apex('presence', this.user, { contactId: this.contact });
        return supervisions.find(({ id }) => id === mySupervisionId);
    }

    /** The board's row of an agent. */
    row(agent) {
        return this.page.locator(`[data-agent="${agent}"]`);
    }

    /** Waits until the board says this about the supervisor. */
    async own(text, timeout = 15000) {
        await this.by('own-text').filter({ hasText: text }).waitFor({ timeout });
    }

    get contact() {
        return new URL(this.page.url()).searchParams.get('contact');
    }

    /** Checks that axe finds no violation in the component. */
    async accessible() {
        await this.page.addScriptTag({ path: require.resolve('axe-core/axe.min.js') });
        const found = await this.page.evaluate(() => window.axe.run(document.querySelector('#presence')));
        assert.deepEqual(
            found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
            []
        );
        assert.ok(found.passes.length > 5, 'axe has checked something');
        assert.ok(found.passes.some(({ id }) => id === 'color-contrast'), 'axe has checked the contrast');
    }

    /** Takes a picture for the documentation if SIDEDOOR_PICTURES=1. */
    async picture(name) {
        if (process.env.SIDEDOOR_PICTURES !== '1') {
            return;
        }
        await mkdir(IMAGES, { recursive: true });
        const file = path.join(IMAGES, `${name}.png`);
        await this.page.screenshot({ path: file });
        assert.ok((await stat(file)).size < MOST_BYTES, `${name}.png is small enough for the documentation`);
    }
}
