/** supervisorCcp with the real Streams until the supervisor is signed in: one frame, a notice, storage access, and Open CTI. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './support/test-app.mjs';
import { Scenario } from './support/scenario.mjs';

let scenario;
before(async () => {
    scenario = await Scenario.open();
});
after(() => scenario.close());

test('without a sign-in there is one frame however often it reloads, and a notice', async () => {
    const context = await scenario.browser.newContext();
    // The test moves the page's clock, because Streams reloads every five seconds.
    await context.clock.install();
    const tab = await scenario.supervisor(await scenario.app.call(), { context, login: 'none' });
    await tab.page.locator('iframe').waitFor();
    const first = await tab.page.locator('iframe').elementHandle();
    for (let seconds = 0; seconds < 25; seconds += 5) {
        await tab.page.clock.runFor(5000);
        assert.equal(await tab.page.locator('iframe').count(), 1, `after ${seconds + 5} s`);
    }
    assert.equal(await first.evaluate((frame) => frame.isConnected), false, 'Streams has reloaded it');
    await tab.by('notice').filter({ hasText: 'You are not signed in to Amazon Connect' }).waitFor();
    assert.equal(await tab.page.evaluate(() => window.hasControl()), false);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test('a panel that is removed before the sign-in loads nothing any more', async () => {
    const tab = await scenario.supervisor(await scenario.app.call(), { login: 'none' });
    const reloads = () => tab.page.evaluate(() => Boolean(window.connect.core.iframeRefreshTimeout));
    const signIn = tab.page.waitForEvent('popup');
    // With the real clock: Streams waits 5 s for the sign-in, and reloads the frame after 5 s more.
    await until(reloads, 'Streams waits to reload the frame', 10000);
    // Until Playwright has attached to the sign-in window, Chromium does not call the callbacks of a component that is removed.
    await signIn;
    const requests = [];
    tab.page.on('request', (request) => requests.push(request.url()));
    await tab.page.evaluate(() => window.takeCcpAway());
    assert.equal(await reloads(), false);
    await tab.page.waitForTimeout(6000);
    assert.deepEqual(requests.filter((url) => url.startsWith(scenario.servers.ccpOrigin)), []);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test('storage access is requested in the panel; once it is granted the CCP opens', async () => {
    const tab = await scenario.supervisor(await scenario.app.call(), { login: 'storage' });
    const allow = tab.page.frameLocator('iframe').getByRole('button', { name: 'Allow cookies' });
    await allow.waitFor();
    assert.equal(await tab.page.evaluate(() => window.hasControl()), false);
    await allow.click();
    await tab.ready();
    await tab.listens();
    await tab.by('disconnect').click();
    await tab.says('You left at');
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test('beside an Open CTI softphone no CCP opens', async () => {
    const context = await scenario.browser.newContext();
    await context.addInitScript(() => {
        window.sforce = { opencti: {} };
    });
    const tab = await scenario.supervisor(await scenario.app.call(), { context, login: 'none' });
    await tab.page.getByRole('alert').filter({ hasText: 'Open CTI softphone' }).waitFor();
    assert.equal(await tab.page.locator('iframe').count(), 0);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});
