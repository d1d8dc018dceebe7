/**
 * Look and access with the published style sheet of SLDS 2: contrast in light and dark, reflow at 320 px, and the words of a leave that
 * may end the customer's call.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Scenario } from './support/scenario.mjs';
import { until } from './support/test-app.mjs';

let scenario;
let call;
before(async () => {
    scenario = await Scenario.open();
    call = await scenario.app.call({ agentId: 'agent-of-look' });
    await scenario.app.call({ agentId: 'agent-with-chat', channel: 'CHAT' });
    await scenario.app.call({ agentId: 'agent-with-call' });
});
after(() => scenario.close());

/** The widest part that sticks out of the page, or null. */
const overflow = (tab) =>
    tab.page.evaluate(() => (document.documentElement.scrollWidth > window.innerWidth ? document.documentElement.scrollWidth : null));

/** Leaves only the three agents with live contacts on the board. */
async function onlyWithContacts(tab) {
    await tab.by('only-contacts').locator('input').check();
    await until(async () => (await tab.page.locator('[data-agent]').count()) === 3, 'only agents with live contacts are shown');
}

for (const dark of ['no', 'yes']) {
    test(`a call's page is accessible in ${dark === 'yes' ? 'dark' : 'light'} mode`, async () => {
        const tab = await scenario.supervisor(call, { settings: { dark } });
        await tab.says('You are not on this call.');
        await tab.accessible();
        await tab.listens({ speak: true });
        await tab.accessible();
        await tab.by('disconnect').click();
        await tab.says('You left at');
        await tab.accessible();
        await scenario.customerIsStillThere(call);
        await tab.context.close();
    });

    test(`the board is accessible in ${dark === 'yes' ? 'dark' : 'light'} mode`, async () => {
        const tab = await scenario.supervisor('', { settings: { board: 'yes', dark } });
        await tab.row('agent-of-look').locator('[data-id="listen"]').click({ timeout: 20000 });
        await tab.own('You are on: ');
        await onlyWithContacts(tab);
        await tab.accessible();
        await tab.picture(dark === 'yes' ? 'board-dark' : 'board');
        await tab.by('own-leave').click();
        await tab.page.locator('[data-departure]').filter({ hasText: '±' }).waitFor({ timeout: 20000 });
        await tab.accessible();
        await scenario.customerIsStillThere(call);
        await tab.context.close();
    });
}

for (const [what, settings] of [['a call’s page', {}], ['the board', { board: 'yes' }]]) {
    test(`at 320 px ${what} reflows and nothing is cut off`, async () => {
        const tab = await scenario.supervisor(settings.board ? '' : call, { settings, ccp: false, viewport: { width: 320, height: 640 } });
        if (settings.board) {
            await tab.row('agent-of-look').waitFor({ timeout: 20000 });
            await onlyWithContacts(tab);
            await tab.picture('board-320');
        } else {
            await tab.says('You are not on this call.');
        }
        assert.equal(await overflow(tab), null);
        await tab.accessible();
        await tab.context.close();
    });
}

for (const dark of ['no', 'yes']) {
    test(`a risky leave is explained, and an operator can leave (${dark === 'yes' ? 'dark' : 'light'})`, async () => {
        const risky = await scenario.app.call({ agentId: `agent-of-risk-${dark}` });
        const tab = await scenario.supervisor(risky, { settings: { operator: 'yes', dark } });
        const s = await tab.listens({ speak: true });
        await tab.by('mode-barge').click();
        await tab.says('You are on this call, and can be heard.');
        await scenario.app.connect('POST', `/_fake/contacts/${risky}/agent-leaves`);
        await tab.by('disconnect').click();
        await tab.by('risk-text').filter({ hasText: "Leaving now may end the customer's call" }).waitFor({ timeout: 20000 });
        await tab.accessible();
        if (dark === 'no') {
            await tab.picture('supervisor-risk');
        }
        assert.equal((await scenario.app.connect('GET', `/_fake/contacts/${risky}`)).ended, false, 'nothing was ended');
        await tab.by('risk-reason').locator('input').fill('the customer has said goodbye');
        await tab.by('risk-leave').click();
        await tab.says('You left at');
        assert.equal((await scenario.app.supervision(s.id)).state, 'LEFT');
        await tab.context.close();
    });
}
