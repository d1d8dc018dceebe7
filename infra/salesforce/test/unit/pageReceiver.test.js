/** One receiver for each page, however many components join; and settings that cannot be read yet. */
import { settings, directivesAfter, mine, net, pass, settle, show, apexProblem } from '../support/presencePage';
import { joinReceiver } from 'c/pageReceiver';
import { directive } from '../support/directive';
import { supervision } from '../support/supervision';
import { registerLegControl } from 'c/legControl';

it('is shared by all members and stops with the last', async () => {
    mine(supervision());
    expect(net.online).toBe(true);
    const events = [];
    const first = joinReceiver((what) => events.push(what.name));
    const { element } = await show();
    expect(settings).toHaveBeenCalledTimes(1);
    const issued = directive({ act: false });
    directivesAfter.mockResolvedValueOnce({ items: [issued], nextAfter: '2', channelKey: 'mine' });
    first.pull();
    await settle();
    expect(events).toContain('directive');
    document.body.removeChild(element);
    const before = directivesAfter.mock.calls.length;
    await pass(60000);
    // The component that knew of a leg is gone, so nothing polls.
    expect(directivesAfter.mock.calls.length).toBe(before);
    first.setBusy(true);
    await pass(60000);
    expect(directivesAfter.mock.calls.length).toBeGreaterThan(before + 3);
    first.leave();
    first.leave();
    const after = directivesAfter.mock.calls.length;
    await pass(300000);
    registerLegControl({ execute: jest.fn() });
    await settle();
    expect(directivesAfter.mock.calls.length).toBe(after);
});

it('reports unavailable settings, retries and reports available', async () => {
    settings.mockReset().mockRejectedValueOnce(apexProblem('not_configured', 500, 'no setting')).mockResolvedValue({ deliveryMode: 'POLL', pollSeconds: 10 });
    const { text } = await show();
    expect(text('error')).toContain('Cannot receive directives: no setting');
    expect(directivesAfter).not.toHaveBeenCalled();
    await pass(1000);
    expect(directivesAfter).toHaveBeenCalled();
    expect(text('error')).toBe('');
});
