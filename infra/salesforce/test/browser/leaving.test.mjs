/**
 * The main job in a real browser: the Lightning components, the real amazon-connect-streams, a simulated CCP, a real Sidedoor and
 * its fakes. In every test the customer's call goes on.
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

test('a supervisor listens and disconnects: in the CCP, by evidence, and in Salesforce', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    await tab.says('You are not on this call.');
    await tab.accessible();
    const s = await tab.listens();
    await tab.step('confirmed', 'done');
    await tab.accessible();
    await tab.picture('supervisor-listening');

    const from = scenario.servers.ccpCalls.length;
    await tab.by('disconnect').click();
    await tab.says('You left at');
    await tab.step('accepted', 'done');
    await tab.step('confirmed', 'done');
    await tab.step('written', 'done');
    // A pattern, because a text also matches "not known yet whether the customer's call goes on".
    await tab.says(/The customer's call goes on\./);

    assert.deepEqual(scenario.ccpRequests(from), [
        ['destroyConnection', s.legContactId, `${s.legContactId}-self`],
        ['clearContact', s.legContactId]
    ]);
    // Whether the call went on is known only once Connect's answers are newer than the departure, after the first record.
    const left = await scenario.until(
        s.id,
        (one) => one.departure?.customerCallContinued === true && one.salesforceRecord.state === 'WRITTEN',
        'written to Salesforce'
    );
    assert.equal(left.state, 'LEFT');
    const record = await scenario.recordOf(s.legContactId);
    const truth = await scenario.app.connect('GET', `/_fake/contacts/${s.legContactId}`);
    const off = Math.abs(record.Disconnected_Epoch_Ms__c - Date.parse(truth.trueDisconnectAt));
    assert.ok(off <= record.Disconnect_Uncertainty_Ms__c, `off by ${off} ms of ± ${record.Disconnect_Uncertainty_Ms__c} ms`);
    const shown = await tab.by('summary').innerText();
    assert.match(shown, new RegExp(`± ${left.departure.uncertaintyMs} ms \\(${left.departure.calibration.grade}\\)`));
    await tab.accessible();
    await tab.picture('supervisor-left');
    await scenario.customerIsStillThere(call);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test("an agent's page shows their call, and the departure after the call is over", async () => {
    const agent = '005000000000001AAA';
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call, { agent });
    await tab.says('This agent has no call in progress');
    assert.equal(await tab.by('listen').count(), 0);
    await tab.accessible();
    scenario.servers.agentCalls[agent] = call;
    await tab.page.reload();
    await tab.ready();
    const s = await tab.listens();
    assert.equal(s.contactId, call);
    await tab.by('disconnect').click();
    await tab.says('You left at');
    await scenario.customerIsStillThere(call);
    delete scenario.servers.agentCalls[agent];
    await tab.by('agent-call').waitFor({ timeout: 20000 });
    await tab.says('You left at');
    assert.equal(await tab.by('listen').count(), 0);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test("an operator's disconnect reaches the page over the stream", async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens();
    const answer = await scenario.app.ask('operator', 'POST', `/v1/supervisions/${s.id}/disconnect`, { reason: 'training is over' }).catch(
        () => scenario.app.ask('operator', 'POST', `/v1/supervisions/${s.id}/disconnect`, {})
    );
    assert.equal(answer.nextAction.controllerAttached, true);
    await tab.says('You left at');
    await scenario.recordOf(s.legContactId);
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

test('a supervisor switches between barge and silent, and leaves while the agent is there', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const s = await tab.listens({ speak: true });
    const from = scenario.servers.ccpCalls.length;
    await tab.accessible();
    await tab.by('mode-barge').click();
    await tab.says('You are on this call, and can be heard.');
    await tab.by('mode-silent').click();
    await tab.says('You are listening to this call');
    await tab.by('mode-barge').click();
    await tab.says('You are on this call, and can be heard.');
    await tab.by('disconnect').click();
    await tab.says('You left at');
    const methods = scenario.ccpRequests(from).map(([method]) => method);
    assert.deepEqual(methods, [...Array(3).fill('updateMonitorParticipantState'), 'destroyConnection', 'clearContact']);
    assert.equal((await scenario.recordOf(s.legContactId)).Mode__c, 'BARGE');
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

test('two supervisors see each other while they are on the call, and leave independently', async () => {
    const call = await scenario.app.call();
    const one = await scenario.supervisor(call);
    const two = await scenario.supervisor(call);
    await one.listens();
    await two.listens();
    for (const tab of [one, two]) {
        await until(async () => (await tab.page.locator('[data-supervision]').count()) === 2, 'both are listed', 20000);
    }
    await two.picture('supervisor-two');
    await one.by('disconnect').click();
    await one.says('You left at');
    // The scope presence shows who is on the call. The times of a departure are only for the one who left, and for reviewers.
    await until(async () => (await two.page.locator('[data-supervision]').count()) === 1, 'only the remaining one is listed', 20000);
    await two.says('You are listening to this call');
    await two.by('disconnect').click();
    await two.says('You left at');
    await scenario.customerIsStillThere(call);
    await one.context.close();
    await two.context.close();
});

test('without a stream the page polls, and at once after a Platform Event', async () => {
    for (const mode of ['POLL', 'EMP_API']) {
        scenario.servers.mode = mode;
        const call = await scenario.app.call();
        const tab = await scenario.supervisor(call);
        const s = await tab.listens();
        await scenario.app.ask('operator', 'POST', `/v1/supervisions/${s.id}/disconnect`, {});
        if (mode === 'EMP_API') {
            assert.equal(scenario.servers.subscribers.size, 1);
            const { channelKey } = await scenario.app.ask(tab.user, 'GET', '/v1/supervisors/me/directives');
            scenario.servers.publish(channelKey);
        }
        await tab.says('You left at');
        await scenario.customerIsStillThere(call);
        await tab.context.close();
    }
    scenario.servers.mode = 'SSE';
});
