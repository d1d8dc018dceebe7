/**
 * Directives that leg control must refuse. Each attempt runs in a real browser with the real amazon-connect-streams and a CCP that
 * would carry it out. The CCP must get no request, and no contact may change.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './support/test-app.mjs';
import { Scenario } from './support/scenario.mjs';

let scenario;
let call;
let tab;
let supervision;
before(async () => {
    scenario = await Scenario.open();
    call = await scenario.app.call();
    tab = await scenario.supervisor(call);
    supervision = await tab.listens({ speak: true });
});
after(() => scenario.close());

function directive(over) {
    return {
        directiveId: '00000000-0000-7000-8000-000000000001',
        kind: 'END_LEG_IN_CCP',
        mode: null,
        status: 'OPEN',
        supervisionId: supervision.id,
        legContactId: supervision.legContactId,
        contactId: call,
        customerCallMayEnd: false,
        expiresAt: new Date(Date.now() + 60000).toISOString(),
        ...over
    };
}

async function refused(over, reason) {
    const from = scenario.servers.ccpCalls.length;
    const answer = await tab.page.evaluate((given) => window.execute(given), directive(over));
    assert.deepEqual([answer.outcome, answer.reason], ['REFUSED', reason]);
    assert.deepEqual(scenario.ccpRequests(from), [], 'the CCP got no request');
    await scenario.customerIsStillThere(call);
    const leg = await scenario.app.connect('GET', `/_fake/contacts/${supervision.legContactId}`);
    assert.equal(leg.ended, false, 'the leg has not changed either');
}

test("a directive that names the customer's contact as the leg", () => refused({ legContactId: call }, 'leg_is_the_supervised_contact'));

test('… without the supervised contact', () => refused({ legContactId: call, contactId: null }, 'unreadable_directive'));

test("the customer's contact of a supervisor who also takes calls", async () => {
    const own = await scenario.app.call();
    scenario.servers.shown[tab.user].add(own);
    await until(async () => (await tab.page.frameLocator('iframe').locator('li').count()) === 2, 'the CCP shows the contact');
    await refused({ legContactId: own }, 'not_a_monitor_leg');
    scenario.servers.shown[tab.user].delete(own);
});

test("another supervisor's leg", async () => {
    const { legContactId } = await scenario.app.connect('POST', '/_fake/legs', { contactId: call, userId: 'ada-16' });
    await refused({ legContactId }, 'unknown_contact');
});

test('an expired directive', () => refused({ expiresAt: new Date(Date.now() - 1000).toISOString() }, 'expired'));

test('a directive of unknown kind', () => refused({ kind: 'END_CONTACT' }, 'unknown_kind'));

test('barged in without an agent: service and browser refuse, an operator can override', async () => {
    await tab.by('mode-barge').click();
    await tab.says('You are on this call, and can be heard.');
    await scenario.app.connect('POST', `/_fake/contacts/${call}/agent-leaves`);
    await tab.page.frameLocator('iframe').locator('li', { hasText: 'agent gone' }).waitFor();
    await refused({}, 'agent_gone');
    await refused({ kind: 'CHANGE_MODE_IN_CCP', mode: 'SILENT' }, 'agent_gone');
    await tab.by('disconnect').click();
    await tab.by('risk-text').waitFor();
    await tab.picture('supervisor-refused');
    await scenario.customerIsStillThere(call);
    const before = await scenario.app.supervision(supervision.id);
    assert.equal(before.state, 'MONITORING');

    await scenario.app.ask('operator', 'POST', `/v1/supervisions/${supervision.id}/disconnect`, {
        customerCallMayEnd: true,
        reason: 'the agent has lost their line; the customer is informed'
    });
    await tab.says('You left at');
});
