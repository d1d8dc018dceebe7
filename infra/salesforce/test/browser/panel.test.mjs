/**
 * supervisorCcp by itself: in the utility bar it acts on any page, it can be removed and put back, and a directive that failed can be
 * repeated.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './support/test-app.mjs';
import { Scenario } from './support/scenario.mjs';

let scenario;
before(async () => {
    scenario = await Scenario.open();
});
after(() => scenario.close());

const destroyed = (from) => scenario.ccpRequests(from).filter(([method]) => method === 'destroyConnection').length;

for (const mode of ['SSE', 'POLL', 'EMP_API']) {
    test(`directives reach a page with only the panel (${mode})`, async () => {
        scenario.servers.mode = mode;
        const call = await scenario.app.call();
        const tab = await scenario.supervisor(call, { presence: false });
        const s = await scenario.app.ask(tab.user, 'POST', '/v1/supervisions', { contactId: call, mode: 'SILENT' });
        await scenario.until(s.id, (one) => one.state === 'MONITORING' && one.joinedAt, 'listening');
        // Once the panel shows the leg, the page polls often.
        await tab.page.frameLocator('iframe').locator('li').waitFor();
        const from = scenario.servers.ccpCalls.length;
        const asked = await scenario.app.ask('operator', 'POST', `/v1/supervisions/${s.id}/disconnect`, {});
        assert.ok(asked.nextAction, 'the answer holds a directive for the browser');
        if (mode === 'EMP_API') {
            const { channelKey } = await scenario.app.ask(tab.user, 'GET', '/v1/supervisors/me/directives');
            scenario.servers.publish(channelKey);
        }
        await scenario.until(s.id, (one) => one.state === 'LEFT', 'left');
        assert.equal(destroyed(from), 1);
        await scenario.customerIsStillThere(call);
        assert.deepEqual(tab.errors, []);
        await tab.context.close();
        scenario.servers.mode = 'SSE';
    });
}

test('a removed panel no longer acts; put back it opens a new CCP and acts', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    await tab.listens();
    await tab.page.evaluate(() => window.takeCcpAway());
    await tab.by('cannot-act').waitFor();
    assert.equal(await tab.page.locator('iframe').count(), 0);
    assert.equal(await tab.page.evaluate(() => window.hasControl()), false);
    await tab.page.evaluate(() => window.bringCcpBack());
    await tab.ready();
    await tab.page.frameLocator('iframe').locator('li').waitFor();
    assert.equal(await tab.page.locator('iframe').count(), 1);
    const from = scenario.servers.ccpCalls.length;
    await tab.by('disconnect').click();
    await tab.says('You left at');
    assert.equal(destroyed(from), 1);
    await scenario.customerIsStillThere(call);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test('a panel that is removed right after opening leaves no error in the page', async () => {
    const tab = await scenario.supervisor(await scenario.app.call());
    await tab.ready();
    await tab.page.evaluate(() => window.takeCcpAway());
    // Streams sends its metrics a second after it was opened.
    await tab.page.waitForTimeout(2000);
    assert.deepEqual(tab.errors, []);
    await tab.page.evaluate(() => window.bringCcpBack());
    await tab.ready();
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test('a disconnect that the panel failed to carry out can be repeated', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    await tab.listens();
    const [from, apexFrom] = [scenario.servers.ccpCalls.length, scenario.servers.apexCalls.length];
    let broken = true;
    scenario.servers.faults.destroyConnection = Array(50).fill(async () => {
        if (broken) {
            throw new Error('the panel is broken');
        }
    });
    await tab.by('disconnect').click();
    await tab.by('error').filter({ hasText: 'did not end your line' }).waitFor();
    await until(async () => (await tab.by('disconnect').getAttribute('aria-disabled')) === 'false', 'it can be pressed again');
    assert.ok(destroyed(from) >= 3);
    await scenario.customerIsStillThere(call);
    broken = false;
    await tab.by('disconnect').click();
    await tab.says('You left at');
    const keys = scenario.servers.apexCalls.slice(apexFrom).filter(({ method }) => method === 'disconnect').map(({ params }) => params.requestKey);
    assert.equal(new Set(keys).size, 2);
    scenario.servers.faults.destroyConnection = [];
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});
