/** One receiver a page, however many components join; and settings that cannot be had yet. */
import { settings, directivesAfter, mine, net, pass, settle, show, apexProblem } from '../support/presencePage';
import { joinReceiver } from 'c/pageReceiver';
import { directive } from '../support/directive';
import { supervision } from '../support/supervision';
import { registerLegControl } from 'c/legControl';

it('is one for all who join, and goes with the last', async () => {
    mine(supervision());
    expect(net.online).toBe(true);
    const heard = [];
    const first = joinReceiver((what) => heard.push(what.name));
    const { element } = await show();
    expect(settings).toHaveBeenCalledTimes(1);
    const told = directive({ act: false });
    directivesAfter.mockResolvedValueOnce({ items: [told], nextAfter: '2', channelKey: 'mine' });
    first.pull();
    await settle();
    expect(heard).toContain('directive');
    document.body.removeChild(element);
    const before = directivesAfter.mock.calls.length;
    await pass(60000);
    expect(directivesAfter.mock.calls.length).toBeGreaterThan(before);
    first.leave();
    first.leave();
    const after = directivesAfter.mock.calls.length;
    await pass(300000);
    registerLegControl({ execute: jest.fn() });
    await settle();
    expect(directivesAfter.mock.calls.length).toBe(after);
});

it('says that directives cannot be received, tries again, and says no more of it when they can', async () => {
    settings.mockReset().mockRejectedValueOnce(apexProblem('not_configured', 500, 'no setting')).mockResolvedValue({ deliveryMode: 'POLL', pollSeconds: 10 });
    const { text } = await show();
    expect(text('error')).toContain('Cannot receive directives: no setting');
    expect(directivesAfter).not.toHaveBeenCalled();
    await pass(1000);
    expect(directivesAfter).toHaveBeenCalled();
    expect(text('error')).toBe('');
});
