/** What the browser stories begin with: a app, a servers, a browser, and a page with a supervisor in it. */
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
/** Pictures in the documentation are small. */
const MOST_BYTES = 150 * 1024;

export class Scenario {
    /** @param {object} [given] origins that may open streams, if not the page's own */
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

    /** A browser of a supervisor's: its own storage, as many tabs as wanted. Another supervisor each time, unless one is named. */
    async supervisor(contact, options = {}) {
        this.supervisors = (this.supervisors || 0) + 1;
        const user = options.user || `ada-${this.supervisors}`;
        const context = options.context || (await this.browser.newContext({ viewport: { width: 960, height: 660 } }));
        const page = await context.newPage();
        const errors = [];
        page.on('pageerror', (e) => errors.push(e.message));
        await page.goto(this.servers.urlFor(user, contact, options));
        const tab = new Tab(this, page, context, user, errors);
        if (options.ccp !== false) {
            await tab.ready();
        }
        return tab;
    }

    /** What was asked of the CCPs since `from`, without what Streams tells for statistics. */
    asked(from = 0) {
        return this.servers.ccpCalls.slice(from).map(({ method, params }) => [method, params.contactId, params.connectionId].filter(Boolean));
    }

    acknowledgements(from = 0) {
        return this.servers.apexCalls.slice(from).filter(({ method }) => method === 'acknowledge');
    }

    /** The promise of the whole product: the customer still talks, and nobody here ended any customer's contact. */
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

    async until(id, good, what) {
        return until(async () => {
            const s = await this.app.supervision(id);
            return good(s) ? s : null;
        }, what);
    }

    /** The row of a leg in the fake Salesforce org, once its departure stands in it. */
    async recordOf(leg) {
        return until(async () => {
            const rows = await this.app.records();
            return rows.find((row) => row.Leg_Key__c === leg && row.Disconnected_Epoch_Ms__c) || null;
        }, `the row of ${leg}`);
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

    /** How far it is, as the page shows it. */
    async step(key, status) {
        await this.page.locator(`[data-step="${key}"][data-status="${status}"]`).waitFor({ timeout: 15000 });
    }

    async listens({ speak = false } = {}) {
        if (speak) {
            await this.by('may-speak').check();
        }
        await this.by('listen').click();
        await this.says('You are listening to this call');
        const { supervisions, mySupervisionId } = await this.scenario.servers.apex('presence', this.user, { contactId: this.contact });
        return supervisions.find(({ id }) => id === mySupervisionId);
    }

    get contact() {
        return new URL(this.page.url()).searchParams.get('contact');
    }

    /** What axe finds in the component as it is now; nothing is right. */
    async accessible() {
        await this.page.addScriptTag({ path: require.resolve('axe-core/axe.min.js') });
        const found = await this.page.evaluate(() => window.axe.run(document.querySelector('#presence')));
        assert.deepEqual(
            found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
            []
        );
        assert.ok(found.passes.length > 5, 'it looked at something');
    }

    /** A picture for the documentation, when one is wanted. */
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
