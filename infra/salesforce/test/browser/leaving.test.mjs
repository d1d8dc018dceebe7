/**
 * The main job in a real browser: the Lightning components, the real amazon-connect-streams, a simulated CCP, a real Sidedoor and
 * its fakes. Whatever happens, the customer's call goes on.
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

test('a supervisor listens, disconnects, and has left: in the CCP, by evidence, and in Salesforce', async () => {
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
    await tab.says("The customer's call goes on.");

    assert.deepEqual(scenario.asked(from), [
        ['destroyConnection', s.legContactId, `${s.legContactId}-self`],
        ['clearContact', s.legContactId]
    ]);
    const left = await scenario.until(s.id, (one) => one.state === 'LEFT' && one.salesforceRecord.state === 'WRITTEN', 'recorded');
    assert.equal(left.departure.customerCallContinued, true);
    const row = await scenario.recordOf(s.legContactId);
    const truth = await scenario.app.connect('GET', `/_fake/contacts/${s.legContactId}`);
    const off = Math.abs(row.Disconnected_Epoch_Ms__c - Date.parse(truth.trueDisconnectAt));
    assert.ok(off <= row.Disconnect_Uncertainty_Ms__c, `off by ${off} ms of ± ${row.Disconnect_Uncertainty_Ms__c} ms`);
    const shown = await tab.by('summary').innerText();
    assert.match(shown, new RegExp(`± ${left.departure.uncertaintyMs} ms \\(${left.departure.calibration.grade}\\)`));
    await tab.accessible();
    await tab.picture('supervisor-left');
    await scenario.customerIsStillThere(call);
    assert.deepEqual(tab.errors, []);
    await tab.context.close();
});

test("on an agent's page: the call that they are on, and how one left it once it is over", async () => {
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

test("an operator's disconnect reaches the page by its stream", async () => {
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

test('a supervisor barges in, falls silent, barges in, and leaves while the agent is there', async () => {
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
    const methods = scenario.asked(from).map(([method]) => method);
    assert.deepEqual(methods, [...Array(3).fill('updateMonitorParticipantState'), 'destroyConnection', 'clearContact']);
    assert.equal((await scenario.recordOf(s.legContactId)).Mode__c, 'BARGE');
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});

test('two supervisors see each other, and leave each for themselves', async () => {
    const call = await scenario.app.call();
    const one = await scenario.supervisor(call);
    const two = await scenario.supervisor(call);
    await one.listens();
    await two.listens();
    await until(async () => (await one.page.locator('[data-supervision]').count()) === 2, 'both are listed', 20000);
    await one.by('disconnect').click();
    await one.says('You left at');
    await until(async () => (await two.by('presence').innerText()).includes('±'), 'the other sees when', 20000);
    await two.says('You are listening to this call');
    await two.picture('supervisor-two');
    await two.by('disconnect').click();
    await two.says('You left at');
    await scenario.customerIsStillThere(call);
    await one.context.close();
    await two.context.close();
});

test('without a stream the page asks, and by a Platform Event it asks at once', async () => {
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
