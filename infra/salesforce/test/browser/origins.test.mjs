/** A page whose origin the service does not allow: the browser blocks the stream, so the page polls. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './support/test-app.mjs';
import { Scenario } from './support/scenario.mjs';

let scenario;
before(async () => {
    scenario = await Scenario.open({ origins: ['https://acme.lightning.force.com'] });
});
after(() => scenario.close());

test('without an allowed origin there is no stream, but directives arrive', async () => {
    const call = await scenario.app.call();
    const tab = await scenario.supervisor(call);
    const blocked = [];
    tab.page.on('console', (message) => /CORS policy/.test(message.text()) && blocked.push(message.text()));
    const s = await tab.listens();
    await until(() => blocked.length > 0, 'the browser blocks the stream');
    await scenario.app.ask('operator', 'POST', `/v1/supervisions/${s.id}/disconnect`, {});
    await tab.says('You left at');
    assert.ok(scenario.servers.apexCalls.some(({ method }) => method === 'directivesAfter'), 'the page has polled');
    await scenario.customerIsStillThere(call);
    await tab.context.close();
});
