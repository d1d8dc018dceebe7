/**
 * The board: agents, their live calls and chats, and who supervises each. A supervisor listens and disconnects in the row, sees on
 * which contact they are, and sees their last departures. Each command is the same as on a call's page; what is accepted and what
 * is confirmed are shown separately.
 */
import { LightningElement, api } from 'lwc';
import hasPermission from '@salesforce/customPermission/Sidedoor_Supervise';
import boardOf from '@salesforce/apex/SidedoorBoard.board';
import mineOf from '@salesforce/apex/SidedoorController.mine';
import disconnectOne from '@salesforce/apex/SidedoorController.disconnect';
import disconnectMine from '@salesforce/apex/SidedoorController.disconnectMine';
import { problemOf } from 'c/directives';
import { labels } from 'c/labels';
import { joinReceiver } from 'c/pageReceiver';
import { inMotion, isActive, isRisk, PendingLeave, problemText, storage, TIMERS, watchVisibility } from 'c/supervision';
import template from './supervisorBoard.html';
import { filtered, RowCache } from './boardView';
import { WithBoardCommands } from './commands';
import { WithBoardView } from './viewModel';

/** The board shows one polling round of the service, so that reading it more often gives nothing new. */
const BOARD_MS = 10000;
const SOON_MS = 2000;
const AT_ONCE_MS = 500;
const AT_ONCE_TIMES = 6;

export default class SupervisorBoard extends WithBoardCommands(WithBoardView(LightningElement)) {
    /** The configured Connect instance, and ids of Connect that restrict the board; each may be empty. */
    @api instance;
    @api queueId;
    @api routingProfileId;
    @api hierarchyGroupId;
    /** Off if supervision starts elsewhere, such as in Command Center. Undefined means on: a public property cannot begin as true. */
    @api canStart;
    /** Off if Salesforce's own softphone holds the leg, so that a directive could not be carried out. */
    @api canDisconnect;
    /** Whether to ask for a reason before listening. */
    @api askReason = false;
    /** The time zone in which times are shown. The default is the Salesforce user's. */
    @api timeZone;

    labels = labels;
    agents = [];
    /** The user's own supervisions, newest first; null until they are read. */
    mine = null;
    voiceCallIds = {};
    asOf = null;
    isComplete = true;
    /** Why Sidedoor's part of the board is missing, or the board as a whole could not be read. */
    partProblem = null;
    boardProblem = null;
    loadedAt = null;
    stale = false;
    failed = null;
    error = null;
    receiverError = null;
    /** A start in flight: {from, to} in words. */
    moving = null;
    /** The refusal of a start: {problem, contactId, agentKey}. */
    refused = null;
    /** The refusal of a leave that may end the customer's call: {code, supervisionId}. */
    risk = null;
    queued = [];
    queuedMine = false;
    unsent = null;
    filter = { search: '', queue: '', channel: '', onlyContacts: false };
    reason = '';
    rows = [];
    cache = new RowCache();
    eager = 0;
    connected = false;
    visible = true;
    focus = { before: false };

    get permitted() {
        return Boolean(hasPermission);
    }

    connectedCallback() {
        if (!this.permitted) {
            return;
        }
        this.connected = true;
        this.pending = new PendingLeave({
            send: ({ mine, supervisionId, requestKey }) =>
                mine ? disconnectMine({ requestKey }) : disconnectOne({ supervisionId, requestKey }),
            settled: (supervision, problem, unsent, request) => this.leaveSettled(supervision, problem, unsent, request),
            storage: storage(),
            timers: TIMERS
        });
        this.pendingChanged();
        this.online = () => {
            this.refresh(true);
            this.pending.send();
        };
        window.addEventListener('online', this.online);
        this.visibility = watchVisibility(this.template.host, (visible) => this.visibilityChanged(visible));
        this.visible = this.visibility.visible;
        this.refresh(true);
        this.pending.send();
    }

    disconnectedCallback() {
        if (!this.connected) {
            return;
        }
        this.connected = false;
        window.removeEventListener('online', this.online);
        this.visibility.stop();
        this.pending.stop();
        TIMERS.clear(this.timer);
        this.follow(false);
    }

    render() {
        this.focus.before = Boolean(this.template.activeElement);
        return template;
    }

    renderedCallback() {
        // The button that had the focus is gone, or its row has moved. A keyboard user would lose their place.
        if (this.focus.before && !this.template.activeElement && this.refs.title) {
            this.refs.title.focus();
        }
        this.focus.before = false;
    }

    visibilityChanged(visible) {
        this.visible = visible;
        if (visible) {
            this.refresh(true);
        } else {
            TIMERS.clear(this.timer);
        }
    }

    /** Receives directives only while the supervisor is on a contact, because a leg can be ended only then. */
    follow(busy) {
        if (busy && !this.receiver) {
            this.receiver = joinReceiver((event) => this.receive(event));
            this.receiver.setBusy(true);
        } else if (!busy && this.receiver) {
            this.receiver.leave();
            this.receiver = null;
            this.receiverError = null;
        }
    }

    receive({ name, outcome, detail, reason, problem, supervision, directive }) {
        if (name === 'unavailable') {
            this.receiverError = this.receiverText(problem);
            return;
        }
        if (name === 'available') {
            this.receiverError = null;
            return;
        }
        if (name === 'carriedOut' && reason !== 'not_open' && (outcome === 'REFUSED' || outcome === 'FAILED')) {
            if (isRisk(reason)) {
                this.risk = { code: reason, supervisionId: directive.supervisionId };
            }
            this.error = this.legText(detail);
        }
        if (supervision) {
            this.applySupervision(supervision);
        }
        if (name !== 'stream') {
            this.refresh();
        }
    }

    /** Reads the own supervisions, and the board if it is due or wanted. An answer that a newer refresh has overtaken is ignored. */
    async refresh(all = false) {
        TIMERS.clear(this.timer);
        if (!this.connected || !this.visible) {
            return;
        }
        this.refreshes = (this.refreshes || 0) + 1;
        const own = this.refreshes;
        const newest = () => own === this.refreshes && this.connected;
        const due = all || this.boardDue || !this.boardReadAt || Date.now() - this.boardReadAt >= BOARD_MS - 50;
        this.boardDue = due;
        await Promise.all([this.readMine(newest), due ? this.readBoard(newest) : null]);
        if (newest()) {
            this.timer = TIMERS.set(() => this.refresh(), this.nextWait());
        }
    }

    nextWait() {
        if (this.eager > 0 && !this.stale) {
            this.eager -= 1;
            return AT_ONCE_MS;
        }
        const motion = this.stale || this.queued.length > 0 || this.queuedMine || (this.mine || []).some((s) => isActive(s) && inMotion(s));
        // Until the service knows the agents, and while something is in progress, the next look follows soon.
        return motion || (this.loadedAt && !this.asOf && !this.boardProblem) ? SOON_MS : BOARD_MS;
    }

    async readMine(newest) {
        try {
            const mine = await mineOf({ connectUserId: this.connectUserId });
            if (newest()) {
                this.mine = mine;
                this.stale = false;
                this.failed = null;
                this.mineChanged();
            }
        } catch (e) {
            if (newest()) {
                this.markStale(problemOf(e));
            }
        }
    }

    async readBoard(newest) {
        try {
            const board = await boardOf({ filter: this.wantedFilter });
            if (!newest()) {
                return;
            }
            this.agents = board.agents.map((agent) => ({ ...agent, contacts: agent.contacts || [] }));
            this.voiceCallIds = board.voiceCallIds || {};
            this.asOf = board.asOf || null;
            this.isComplete = board.isComplete !== false;
            this.partProblem = board.problem ? problemText(problemOf({ body: { message: board.problem } })) : null;
            this.boardProblem = null;
            this.loadedAt = new Date().toISOString();
            this.boardDue = false;
            this.boardReadAt = Date.now();
        } catch (e) {
            if (!newest()) {
                return;
            }
            const problem = problemOf(e);
            this.boardProblem = problem.code ? problemText(problem) : null;
            this.stale = this.stale || !problem.code;
        }
        this.arrange();
    }

    /** The filter that the service applies. The search is sent only if the list is not complete; otherwise it is applied here. */
    get wantedFilter() {
        const { instance, queueId, routingProfileId, hierarchyGroupId } = this;
        const name = this.isComplete ? null : this.filter.search.trim() || null;
        return { instance, queueId, routingProfileId, hierarchyGroupId, name, withContacts: this.filter.onlyContacts };
    }

    /** The user's Connect user id, once it is known from the board, the directives or a supervision of theirs. */
    get connectUserId() {
        const you = this.agents.find((agent) => agent.isYou);
        const fromReceiver = this.receiver ? this.receiver.connectUserId : null;
        return (you && you.agentUserId) || fromReceiver || this.knownUserId || null;
    }

    mineChanged() {
        const active = this.mine.filter(isActive);
        const known = this.mine.find((s) => s.supervisor && s.supervisor.connectUserId);
        this.knownUserId = known ? known.supervisor.connectUserId : this.knownUserId;
        const over = new Set(this.mine.filter((s) => !isActive(s)).map(({ id }) => id));
        this.queued = this.queued.filter((id) => !over.has(id));
        if (this.risk && !active.some(({ id }) => id === this.risk.supervisionId)) {
            this.risk = null;
            this.error = null;
        }
        if (this.refused && this.refused.problem.current && over.has(this.refused.problem.current.supervisionId)) {
            // The contact that was in the way has been left.
            this.refused = null;
        }
        this.follow(active.length > 0);
        this.arrange();
    }

    markStale(problem) {
        this.stale = true;
        this.failed = problem.code ? problemText(problem) : null;
    }

    applySupervision(supervision) {
        this.eager = AT_ONCE_TIMES;
        this.mine = [supervision, ...(this.mine || []).filter((s) => s.id !== supervision.id)];
        this.mineChanged();
    }

    /** Makes the rows from the data and the filter. Rows that have not changed keep their object, so that they are not rendered again. */
    arrange() {
        this.shown = filtered(this.agents, this.filter);
        this.rows = this.cache.rowsOf(this.shown, this.rowView);
    }

    pendingChanged() {
        this.queued = this.pending.supervisionIds;
        this.queuedMine = this.pending.waitsForMine;
        if (this.queued.length === 0 && !this.queuedMine) {
            this.unsent = null;
        }
    }

    leaveSettled(supervision, problem, unsent, request) {
        this.pendingChanged();
        if (supervision) {
            this.applySupervision(supervision);
            if (this.receiver) {
                this.receiver.pull();
            }
        }
        if (problem && isRisk(problem.code) && request && request.supervisionId) {
            this.risk = { code: problem.code, supervisionId: request.supervisionId };
        } else if (problem) {
            this.error = problemText(problem);
        }
        if (unsent) {
            this.unsent = unsent;
            this.markStale(unsent);
        }
        this.arrange();
        this.refresh();
    }
}
