/**
 * Reloads, lost answers, a second tab, a lost network: the leg is ended once and acknowledged once, and the customer's call is not
 * affected.
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

test('a reload before the CCP has acted: the directive is carried out again', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens();
    const from = scenario.servers.ccpCalls.length;
    // The first request to the CCP is in flight when the page is reloaded.
    let reached;
    const underWay = new Promise((done) => {
        reached = done;
    });
    scenario.servers.faults.destroyConnection = [
        () => {
            reached();
            return new Promise(() => {});
        }
    ];
    await tab.by('disconnect').click();
    await underWay;
    await tab.page.reload();
    await tab.ready();
    await tab.says('You left at');
    assert.equal(destroyed(from), 2, 'the request that was lost, and the one that was carried out');
    await scenario.recordOf(s.legContactId);
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

test('a reload before the acknowledgement: it is sent again, the action is not', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens();
    const [from, apexFrom] = [scenario.servers.ccpCalls.length, scenario.servers.apexCalls.length];
    // The directive stays open, because it is not acknowledged and no event reports the end of the leg.
    await scenario.app.connect('PATCH', '/_fake/events', { target: null, contactEvents: false, agentEvents: false });
    scenario.servers.faults.acknowledge = Array(1000).fill('before');
    await tab.by('disconnect').click();
    await until(() => scenario.acknowledgements(apexFrom).length >= 2, 'the page tries to acknowledge');
    const tried = scenario.acknowledgements(apexFrom).length;
    await tab.page.reload();
    scenario.servers.faults.acknowledge = [];
    await tab.ready();
    await until(async () => (await answersOf(s.id)).length === 1, 'acknowledged');
    assert.deepEqual(await answersOf(s.id), ['DONE']);
    const keys = new Set(scenario.acknowledgements(apexFrom).map(({ params }) => params.requestKey));
    assert.equal(keys.size, 1, 'every retry is the same request');
    assert.ok(scenario.acknowledgements(apexFrom).length > tried);
    assert.equal(destroyed(from), 1);
    await tab.says('You left at');
    await scenario.customerIsStillThere(call);
    await tab.context.close();
    await scenario.app.deliverEvents();
});

/** The answers to the directives of a supervision that the service has. */
async function answersOf(id) {
    const { items } = await scenario.app.ask('reader', 'GET', `/v1/supervisions/${id}/timeline`);
    return items.filter(({ what }) => what === 'directive.answered').map(({ detail }) => detail.match(/DONE|ALREADY_GONE|REFUSED|FAILED/)[0]);
}

test('an acknowledgement whose answer is lost is retried and counts once', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens();
    const apexFrom = scenario.servers.apexCalls.length;
    scenario.servers.faults.acknowledge = ['after'];
    await tab.by('disconnect').click();
    await tab.says('You left at');
    await until(() => scenario.acknowledgements(apexFrom).length === 2, 'the acknowledgement is retried');
    assert.deepEqual(await answersOf(s.id), ['DONE']);
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

test('two tabs: one acts, both show the departure', async () => {
    const call = await scenario.app.call();
    const first = await scenario.supervisor(call);
    await first.listens();
    const second = await scenario.supervisor(call, { user: first.user, context: first.context });
    await second.says('You are listening to this call');
    const [from, apexFrom] = [scenario.servers.ccpCalls.length, scenario.servers.apexCalls.length];
    await first.by('disconnect').click();
    await first.says('You left at');
    await second.says('You left at');
    // After 4 s the service would let the other tab act if the first had not answered.
    await first.page.waitForTimeout(4500);
    assert.equal(destroyed(from), 1);
    const outcomes = scenario.acknowledgements(apexFrom).map(({ params }) => params.outcome);
    assert.deepEqual(outcomes, ['DONE']);
    await scenario.customerIsStillThere(call);
    await first.context.close();
});

test('two browsers that poll: only the newest acts', async () => {
    scenario.servers.mode = 'POLL';
    const call = await scenario.app.call();
    const first = await scenario.supervisor(call);
    await first.listens();
    const second = await scenario.supervisor(call, { user: first.user });
    await second.says('You are listening to this call');
    // Both browsers have polled and go on polling.
    const since = scenario.servers.apexCalls.length;
    const tabs = () => {
        const asked = scenario.servers.apexCalls.slice(since).filter(({ method, user }) => method === 'directivesAfter' && user === first.user);
        return [...new Set(asked.map(({ params }) => params.tab))];
    };
    await until(() => tabs().length === 2, 'both poll, each with its own tab name');
    const [from, apexFrom] = [scenario.servers.ccpCalls.length, scenario.servers.apexCalls.length];
    await first.by('disconnect').click();
    await first.says('You left at');
    await second.says('You left at');
    await first.page.waitForTimeout(4500);
    assert.equal(destroyed(from), 1);
    assert.deepEqual(scenario.acknowledgements(apexFrom).map(({ params }) => params.outcome), ['DONE']);
    await scenario.customerIsStillThere(call);
    await first.context.close();
    await second.context.close();
    scenario.servers.mode = 'SSE';
});

test('without a network a disconnect is kept and sent once, a listen is never sent', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    await tab.listens();
    await tab.context.setOffline(true);
    await tab.by('stale').waitFor();
    await tab.by('disconnect').click();
    await tab.by('queued').waitFor();
    await tab.picture('supervisor-offline');
    const apexFrom = scenario.servers.apexCalls.length;
    await tab.context.setOffline(false);
    await tab.says('You left at');
    const sent = scenario.servers.apexCalls.slice(apexFrom).filter(({ method }) => method === 'disconnect');
    assert.equal(sent.length, 1);
    await scenario.customerIsStillThere(call);

    await tab.context.setOffline(true);
    await tab.by('stale').waitFor();
    // The button is marked as disabled and is pressed anyway.
    await tab.by('listen').click({ force: true });
    await tab.by('error').filter({ hasText: 'nothing will be' }).waitFor();
    const later = scenario.servers.apexCalls.length;
    await tab.context.setOffline(false);
    await tab.by('stale').waitFor({ state: 'detached' });
    await tab.page.waitForTimeout(3000);
    assert.deepEqual(scenario.servers.apexCalls.slice(later).filter(({ method }) => method === 'listen'), []);
    await tab.context.close();
});

test('everything works with the keyboard', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    await tab.by('listen').focus();
    await tab.page.keyboard.press('Enter');
    await tab.says('You are listening to this call');
    await tab.by('disconnect').focus();
    await tab.page.keyboard.press('Space');
    await tab.says('You left at');
    const focused = (await focusOf(tab)).tag;
    assert.equal(focused, 'H2', 'the button is gone, the focus is on the title');
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

/** The focused element, also inside shadow roots. */
function focusOf(tab) {
    return tab.page.evaluate(() => {
        let at = document.activeElement;
        while (at && at.shadowRoot && at.shadowRoot.activeElement) {
            at = at.shadowRoot.activeElement;
        }
        return { tag: at.tagName, id: at.dataset.id, disabled: at.getAttribute('aria-disabled') };
    });
}

test('moving between the modes by keyboard changes nothing, a press changes once', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    await tab.listens({ speak: true });
    const from = scenario.servers.apexCalls.length;
    const changes = () => scenario.servers.apexCalls.slice(from).filter(({ method }) => method === 'changeMode');
    await tab.by('mode-silent').focus();
    for (const key of ['ArrowDown', 'ArrowRight', 'ArrowUp', 'Home', 'End', 'Tab']) {
        await tab.page.keyboard.press(key);
    }
    assert.equal((await focusOf(tab)).id, 'mode-barge');
    await tab.page.waitForTimeout(500);
    assert.deepEqual(changes(), [], 'no change was requested');
    await tab.page.keyboard.press('Space');
    assert.equal((await focusOf(tab)).id, 'mode-barge');
    await tab.says('You are on this call, and can be heard.');
    assert.deepEqual(changes().map(({ params }) => params.mode), ['BARGE']);
    await until(async () => (await focusOf(tab)).disabled === 'false', 'it can be pressed again');
    assert.equal((await focusOf(tab)).id, 'mode-barge', 'the focus is where it was');
    await tab.page.keyboard.press('Shift+Tab');
    assert.equal((await focusOf(tab)).id, 'mode-silent');
    await tab.accessible();
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});
