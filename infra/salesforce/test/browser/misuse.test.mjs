/**
 * What leg control is asked to do and must not: each attempt is made in a real browser, through the real amazon-connect-streams,
 * on a CCP that would do it. Nothing is asked of the CCP, and nothing is touched.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './support/house.mjs';
import { Story } from './support/story.mjs';

let story;
let call;
let tab;
let supervision;
before(async () => {
    story = await Story.open();
    call = await story.house.call();
    tab = await story.supervisor(call);
    supervision = await tab.listens({ speak: true });
});
after(() => story.close());

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
    const from = story.stage.ccpCalls.length;
    const answer = await tab.page.evaluate((given) => window.obey(given), directive(over));
    assert.deepEqual([answer.outcome, answer.reason], ['REFUSED', reason]);
    assert.deepEqual(story.asked(from), [], 'the CCP was asked for nothing');
    await story.customerIsStillThere(call);
    const leg = await story.house.connect('GET', `/_fake/contacts/${supervision.legContactId}`);
    assert.equal(leg.ended, false, 'the leg is untouched too');
}

test("a directive that names the customer's contact as the leg", () => refused({ legContactId: call }, 'leg_is_the_supervised_contact'));

test("… that names it and hides which contact is supervised", () => refused({ legContactId: call, contactId: null }, 'unreadable_directive'));

test("the customer's contact of a supervisor who also takes calls", async () => {
    const own = await story.house.call();
    story.stage.shown[tab.user].add(own);
    await until(async () => (await tab.page.frameLocator('iframe').locator('li').count()) === 2, 'the CCP shows it');
    await refused({ legContactId: own }, 'not_a_monitor_leg');
    story.stage.shown[tab.user].delete(own);
});

test("another supervisor's leg", async () => {
    const { legContactId } = await story.house.connect('POST', '/_fake/legs', { contactId: call, userId: 'ada-16' });
    await refused({ legContactId }, 'unknown_contact');
});

test('an expired directive', () => refused({ expiresAt: new Date(Date.now() - 1000).toISOString() }, 'join_timeout'));

test('an order that nobody gives', () => refused({ kind: 'END_CONTACT' }, 'unknown_kind'));

test('barged in with no agent left: the service refuses, the browser refuses, and an operator may take it on themselves', async () => {
    await tab.by('mode-barge').click();
    await tab.says('You are on this call, and can be heard.');
    await story.house.connect('POST', `/_fake/contacts/${call}/agent-leaves`);
    await tab.page.frameLocator('iframe').locator('li', { hasText: 'agent gone' }).waitFor();
    await refused({}, 'agent_gone');
    await refused({ kind: 'CHANGE_MODE_IN_CCP', mode: 'SILENT' }, 'agent_gone');
    await tab.by('disconnect').click();
    await tab.by('error').locator('p').waitFor();
    await tab.picture('supervisor-refused');
    await story.customerIsStillThere(call);
    const before = await story.house.supervision(supervision.id);
    assert.equal(before.state, 'MONITORING');

    await story.house.ask('operator', 'POST', `/v1/supervisions/${supervision.id}/disconnect`, {
        customerCallMayEnd: true,
        reason: 'the agent has lost their line; the customer is told'
    });
    await tab.says('You left at');
});
