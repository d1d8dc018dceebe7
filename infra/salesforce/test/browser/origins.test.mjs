/** A page whose origin the service does not allow: the browser keeps the stream from it, and it asks instead. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from './support/house.mjs';
import { Story } from './support/story.mjs';

let story;
before(async () => {
    story = await Story.open({ origins: ['https://acme.lightning.force.com'] });
});
after(() => story.close());

test('no stream for a foreign origin; the directive comes all the same', async () => {
    const call = await story.house.call();
    const tab = await story.supervisor(call);
    const blocked = [];
    tab.page.on('console', (message) => /CORS policy/.test(message.text()) && blocked.push(message.text()));
    const s = await tab.listens();
    await until(() => blocked.length > 0, 'the browser blocks the stream');
    await story.house.ask('operator', 'POST', `/v1/supervisions/${s.id}/disconnect`, {});
    await tab.says('You left at');
    assert.ok(story.stage.apexCalls.some(({ method }) => method === 'directivesAfter'), 'it asked');
    await story.customerIsStillThere(call);
    await tab.context.close();
});
