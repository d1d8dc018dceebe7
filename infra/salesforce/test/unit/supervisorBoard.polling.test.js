/** What supervisorBoard costs: requests while it is visible, hidden and at rest; and rendering two hundred agents. */
import { org, agent, contact, boardOf, hide, pass, settle, show, board, mine, settings, directivesAfter } from '../support/boardPage';
import { supervision, departure } from '../support/supervision';

const on = (over) => supervision({ contactId: 'c-1', ...over });
const many = () => Array.from({ length: 200 }, (_, i) => agent(`agent-${String(i).padStart(3, '0')}`, [contact(`contact-${i}`)]));

describe('requests', () => {
    it('are one of each kind every ten seconds at rest', async () => {
        await show();
        await pass(60000);
        expect(board).toHaveBeenCalledTimes(7);
        expect(mine).toHaveBeenCalledTimes(7);
        expect(settings).not.toHaveBeenCalled();
        expect(directivesAfter).not.toHaveBeenCalled();
    });

    it('stop in a hidden tab and follow at once when it is shown', async () => {
        await show();
        hide(true);
        await pass(600000);
        expect(board).toHaveBeenCalledTimes(1);
        expect(mine).toHaveBeenCalledTimes(1);
        hide(false);
        await settle();
        expect(board).toHaveBeenCalledTimes(2);
    });

    it('stop when the component is off the screen', async () => {
        let report;
        window.IntersectionObserver = class {
            constructor(f) {
                report = (isIntersecting) => f([{ isIntersecting }]);
            }
            observe() {}
            disconnect() {
                report = () => {};
            }
        };
        try {
            await show();
            report(false);
            await pass(600000);
            expect(board).toHaveBeenCalledTimes(1);
            report(true);
            await settle();
            expect(board).toHaveBeenCalledTimes(2);
        } finally {
            delete window.IntersectionObserver;
        }
    });

    it('stop when the component is removed', async () => {
        const { element } = await show();
        document.body.removeChild(element);
        await pass(600000);
        expect(board).toHaveBeenCalledTimes(1);
    });

    it('for directives begin with a leg and end with it, also in a hidden tab', async () => {
        org.mine = [on()];
        await show();
        await pass(1000);
        expect(directivesAfter).toHaveBeenCalled();
        hide(true);
        const polled = directivesAfter.mock.calls.length;
        await pass(30000);
        // A leave must reach the page that holds the leg, whether or not its tab is in front.
        expect(directivesAfter.mock.calls.length).toBeGreaterThan(polled + 4);
        expect(board).toHaveBeenCalledTimes(1);
        org.mine = [on({ state: 'LEFT', departure: departure() })];
        hide(false);
        await settle();
        const after = directivesAfter.mock.calls.length;
        await pass(60000);
        expect(directivesAfter).toHaveBeenCalledTimes(after);
    });

    it('follow soon while a leave is in progress, without reading the board each time', async () => {
        org.mine = [on({ state: 'LEAVING', disconnectRequestedAt: '2026-08-04T17:43:46.000Z' })];
        await show();
        await pass(20000);
        expect(mine.mock.calls.length).toBeGreaterThan(9);
        expect(board.mock.calls.length).toBeLessThan(4);
    });

    it('name the user by the Connect user id once the board shows it', async () => {
        org.board = boardOf([agent('bo'), agent('me', [], { agentUserId: 'sup-1', isYou: true })]);
        await show();
        expect(mine.mock.calls[0][0]).toEqual({ connectUserId: null });
        await pass(10000);
        expect(mine.mock.calls[1][0]).toEqual({ connectUserId: 'sup-1' });
    });
});

describe('two hundred agents', () => {
    it('render only the row that has changed', async () => {
        org.board = boardOf(many());
        const { rows, row } = await show();
        expect(rows()).toHaveLength(200);
        const elements = rows();
        const changed = new Set();
        const watchers = elements.map((element) => {
            const watcher = new MutationObserver(() => changed.add(element.row.name));
            watcher.observe(element.shadowRoot, { subtree: true, childList: true, characterData: true, attributes: true });
            return watcher;
        });
        await pass(10000);
        expect([...changed]).toEqual([]);
        org.board.agents[117].status = 'Break';
        await pass(10000);
        expect([...changed]).toEqual(['agent-117']);
        expect(row('agent-117').textContent).toContain('Break');
        // The elements stay, so that the focus and the place in the list do too.
        expect(rows()).toEqual(elements);
        watchers.forEach((watcher) => watcher.disconnect());
    });

    it('keep the objects of the rows that have not changed', async () => {
        org.board = boardOf(many());
        const { rows } = await show();
        const before = rows().map((one) => one.row);
        org.board.agents[3].contacts = [];
        await pass(10000);
        const after = rows().map((one) => one.row);
        expect(after.filter((row, i) => row !== before[i]).map(({ name }) => name)).toEqual(['agent-003']);
    });
});
