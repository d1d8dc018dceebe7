/**
 * The Contact Control Panel by itself: in the utility bar it acts on any page, it comes and goes, and what it could not do is
 * asked of it again.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './support/house.mjs';
import { Story } from './support/story.mjs';

let story;
before(async () => {
    story = await Story.open();
});
after(() => story.close());

const destroyed = (from) => story.asked(from).filter(([method]) => method === 'destroyConnection').length;

for (const mode of ['SSE', 'POLL', 'EMP_API']) {
    test(`directives reach a page with nothing but the panel (${mode})`, async () => {
        story.stage.mode = mode;
        const call = await story.house.call();
        const tab = await story.supervisor(call, { presence: false });
        const s = await story.house.ask(tab.user, 'POST', '/v1/supervisions', { contactId: call, mode: 'SILENT' });
        await story.until(s.id, (one) => one.state === 'MONITORING' && one.joinedAt, 'listening');
        // The panel shows the leg, and the page asks often from then on.
        await tab.page.frameLocator('iframe').locator('li').waitFor();
        const from = story.stage.ccpCalls.length;
        const asked = await story.house.ask('operator', 'POST', `/v1/supervisions/${s.id}/disconnect`, {});
        assert.ok(asked.nextAction, 'the browser is to do it');
        if (mode === 'EMP_API') {
            const { channelKey } = await story.house.ask(tab.user, 'GET', '/v1/supervisors/me/directives');
            story.stage.publish(channelKey);
        }
        await story.until(s.id, (one) => one.state === 'LEFT', 'left');
        assert.equal(destroyed(from), 1);
        await story.customerIsStillThere(call);
        assert.deepEqual(tab.errors, []);
        await tab.context.close();
        story.stage.mode = 'SSE';
    });
}

test('a panel that is taken away no longer acts; brought back it opens anew, and does', async () => {
    const call = await story.house.call();
    const tab = await story.supervisor(call);
    await tab.listens();
    await tab.page.evaluate(() => window.takeCcpAway());
    await tab.by('cannot-act').waitFor();
    assert.equal(await tab.page.locator('iframe').count(), 0);
    assert.equal(await tab.page.evaluate(() => window.hasControl()), false);
    await tab.page.evaluate(() => window.bringCcpBack());
    await tab.ready();
    await tab.page.frameLocator('iframe').locator('li').waitFor();
    assert.equal(await tab.page.locator('iframe').count(), 1);
    const from = story.stage.ccpCalls.length;
    await tab.by('disconnect').click();
    await tab.says('You left at');
    assert.equal(destroyed(from), 1);
    await story.customerIsStillThere(call);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test('a panel that is taken away as soon as it is open leaves no error behind in the page', async () => {
    const tab = await story.supervisor(await story.house.call());
    await tab.ready();
    await tab.page.evaluate(() => window.takeCcpAway());
    // Streams tells its metrics a second after it opened.
    await tab.page.waitForTimeout(2000);
    assert.deepEqual(tab.errors, []);
    await tab.page.evaluate(() => window.bringCcpBack());
    await tab.ready();
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test('what the panel failed to do is asked for again, by the same button', async () => {
    const call = await story.house.call();
    const tab = await story.supervisor(call);
    await tab.listens();
    const [from, apexFrom] = [story.stage.ccpCalls.length, story.stage.apexCalls.length];
    let broken = true;
    story.stage.faults.destroyConnection = Array(50).fill(async () => {
        if (broken) {
            throw new Error('the panel is not itself');
        }
    });
    await tab.by('disconnect').click();
    await tab.by('error').filter({ hasText: 'did not end your line' }).waitFor();
    await until(async () => (await tab.by('disconnect').getAttribute('aria-disabled')) === 'false', 'it can be pressed again');
    assert.ok(destroyed(from) >= 3);
    await story.customerIsStillThere(call);
    broken = false;
    await tab.by('disconnect').click();
    await tab.says('You left at');
    const keys = story.stage.apexCalls.slice(apexFrom).filter(({ method }) => method === 'disconnect').map(({ params }) => params.requestKey);
    assert.equal(new Set(keys).size, 2);
    story.stage.faults.destroyConnection = [];
    await story.customerIsStillThere(call);
    await tab.context.close();
});
