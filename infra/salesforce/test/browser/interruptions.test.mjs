/**
 * Reloads, lost answers, a second tab, a moment without a network: the leg is ended once, acknowledged once, and the customer
 * never notices.
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

const destroyed = (from) => scenario.asked(from).filter(([method]) => method === 'destroyConnection').length;

test('a reload before the CCP has done it: the directive is told again and carried out', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens();
    const from = scenario.servers.ccpCalls.length;
    // The first order is on its way when the page goes.
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
    assert.equal(destroyed(from), 2, 'the order that came to nothing, and the one that was carried out');
    await scenario.recordOf(s.legContactId);
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

test('a reload before the acknowledgement arrived: it is acknowledged again, and not carried out again', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens();
    const [from, apexFrom] = [scenario.servers.ccpCalls.length, scenario.servers.apexCalls.length];
    // The directive is open for as long as nobody answers it, and no event says yet that the leg is gone.
    await scenario.app.connect('PATCH', '/_fake/events', { target: null, contactEvents: false, agentEvents: false });
    scenario.servers.faults.acknowledge = Array(1000).fill('before');
    await tab.by('disconnect').click();
    await until(() => scenario.acknowledgements(apexFrom).length >= 2, 'it tries to acknowledge');
    const tried = scenario.acknowledgements(apexFrom).length;
    await tab.page.reload();
    scenario.servers.faults.acknowledge = [];
    await tab.ready();
    await until(async () => (await answersOf(s.id)).length === 1, 'acknowledged');
    assert.deepEqual(await answersOf(s.id), ['DONE']);
    const keys = new Set(scenario.acknowledgements(apexFrom).map(({ params }) => params.requestKey));
    assert.equal(keys.size, 1, 'the same request, however often');
    assert.ok(scenario.acknowledgements(apexFrom).length > tried);
    assert.equal(destroyed(from), 1);
    await tab.says('You left at');
    await scenario.customerIsStillThere(call);
    await tab.context.close();
    await scenario.app.tellEvents();
});

/** The answers to the directives of a supervision, as the service has them. */
async function answersOf(id) {
    const { items } = await scenario.app.ask('reader', 'GET', `/v1/supervisions/${id}/timeline`);
    return items.filter(({ what }) => what === 'directive.answered').map(({ detail }) => detail.match(/DONE|ALREADY_GONE|REFUSED|FAILED/)[0]);
}

test('an acknowledgement whose answer is lost is repeated, and stands once', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens();
    const apexFrom = scenario.servers.apexCalls.length;
    scenario.servers.faults.acknowledge = ['after'];
    await tab.by('disconnect').click();
    await tab.says('You left at');
    await until(() => scenario.acknowledgements(apexFrom).length === 2, 'it is repeated');
    assert.deepEqual(await answersOf(s.id), ['DONE']);
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

test('two tabs: one acts, both know', async () => {
    const call = await scenario.app.call();
    const first = await scenario.supervisor(call);
    await first.listens();
    const second = await scenario.supervisor(call, { user: first.user, context: first.context });
    await second.says('You are listening to this call');
    const [from, apexFrom] = [scenario.servers.ccpCalls.length, scenario.servers.apexCalls.length];
    await first.by('disconnect').click();
    await first.says('You left at');
    await second.says('You left at');
    // The one that was not asked would be asked after four seconds, had the other not answered.
    await first.page.waitForTimeout(4500);
    assert.equal(destroyed(from), 1);
    const said = scenario.acknowledgements(apexFrom).map(({ params }) => params.outcome);
    assert.deepEqual(said, ['DONE']);
    await scenario.customerIsStillThere(call);
    await first.context.close();
});

test('two browsers that ask: the newest acts, and only that one', async () => {
    scenario.servers.mode = 'POLL';
    const call = await scenario.app.call();
    const first = await scenario.supervisor(call);
    await first.listens();
    const second = await scenario.supervisor(call, { user: first.user });
    await second.says('You are listening to this call');
    // Both have asked, and ask on.
    const since = scenario.servers.apexCalls.length;
    const tabs = () => {
        const asked = scenario.servers.apexCalls.slice(since).filter(({ method, user }) => method === 'directivesAfter' && user === first.user);
        return [...new Set(asked.map(({ params }) => params.tab))];
    };
    await until(() => tabs().length === 2, 'both ask, each by a name of its own');
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

test('a moment without a network: a disconnect is kept and sent once, a listen is not sent at all', async () => {
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
    // It says that it is disabled, and is pressed all the same.
    await tab.by('listen').click({ force: true });
    await tab.by('error').filter({ hasText: 'nothing will be' }).waitFor();
    const later = scenario.servers.apexCalls.length;
    await tab.context.setOffline(false);
    await tab.by('stale').waitFor({ state: 'detached' });
    await tab.page.waitForTimeout(3000);
    assert.deepEqual(scenario.servers.apexCalls.slice(later).filter(({ method }) => method === 'listen'), []);
    await tab.context.close();
});

test('the keyboard is enough', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    await tab.by('listen').focus();
    await tab.page.keyboard.press('Enter');
    await tab.says('You are listening to this call');
    await tab.by('disconnect').focus();
    await tab.page.keyboard.press('Space');
    await tab.says('You left at');
    const focused = (await focusOf(tab)).tag;
    assert.equal(focused, 'H2', 'the button has gone, the focus has not');
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

/** Where the focus is, through every shadow. */
function focusOf(tab) {
    return tab.page.evaluate(() => {
        let at = document.activeElement;
        while (at && at.shadowRoot && at.shadowRoot.activeElement) {
            at = at.shadowRoot.activeElement;
        }
        return { tag: at.tagName, id: at.dataset.id, disabled: at.getAttribute('aria-disabled') };
    });
}

test('moving among the modes by keyboard asks for nothing; a press does, once, and keeps the focus', async () => {
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
    assert.deepEqual(changes(), [], 'nobody has been heard');
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
