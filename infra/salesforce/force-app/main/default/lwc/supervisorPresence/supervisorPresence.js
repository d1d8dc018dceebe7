/**
 * A supervisor's presence on the call of this record page, or on the call of the agent that the page is about: listen, change between
 * silent and barge, disconnect, and see who else is on the call. It shows separately what Sidedoor has accepted, what the vendor has
 * confirmed, and what Salesforce has.
 */
import { LightningElement, api, wire } from 'lwc';
import { getRecord } from 'lightning/uiRecordApi';
import presenceOf from '@salesforce/apex/SidedoorController.presence';
import disconnectOne from '@salesforce/apex/SidedoorController.disconnect';
import disconnectMine from '@salesforce/apex/SidedoorController.disconnectMine';
import liveCallOf from '@salesforce/apex/SidedoorAgentCall.liveCall';
import { problemOf } from 'c/directives';
import { fill, labels } from 'c/labels';
import { currentLegControl, onLegControl } from 'c/legControl';
import { joinReceiver } from 'c/pageReceiver';
import { isActive, isRisk, ownOf, PendingLeave, problemText, storage, TIMERS, watchVisibility } from 'c/supervision';
import template from './supervisorPresence.html';
import { RefreshInterval } from './refreshInterval';
import { WithCommands } from './commands';
import { agentOf, contactField, dispositionField, isOver, valueOf } from './record';
import { WithViewModel } from './viewModel';

export default class SupervisorPresence extends WithCommands(WithViewModel(LightningElement)) {
    /** The object of the page's record. On a VoiceCall the contact id is VendorCallKey. */
    @api objectApiName;
    /** The field of the record that holds the contact id, if the record is not a VoiceCall. */
    @api contactIdField;
    /** The VoiceCall for the Salesforce record, if it is not the page's record. */
    @api voiceCallId;
    /** Whether supervisors may barge in. They always start silent. */
    @api allowBarge = false;
    /** Off if supervision starts elsewhere, such as in Command Center. Undefined means on: a public property cannot begin as true. */
    @api canStart;
    /** Off if Salesforce's own softphone holds the leg, so that a directive could not be carried out. */
    @api canDisconnect;
    /** The time zone in which times are shown. The default is the Salesforce user's. */
    @api timeZone;

    given;
    givenAgent;
    record;
    recordContact;
    /** The last answer about the agent: {agent, status, contactId, voiceCallId}. */
    agentCall = null;
    supervisions = [];
    mine = null;
    loadedAt = null;
    stale = false;
    /** The problem of the last refresh, if it has a code. Without a code there was no answer, and "No connection" is shown. */
    failed = null;
    error = null;
    recordError = null;
    receiverError = null;
    /** The refusal of a start because of the supervisor's own other supervision: {current, retryAfterMs}, or null. */
    busyElsewhere = null;
    /** The code of the refusal of a leave that may end the customer's call, or null. */
    risk = null;
    /** Whether Salesforce says that the record's call has ended. */
    recordOver = false;
    visible = true;
    labels = labels;
    asking = false;
    maySpeak = false;
    modeAsked = null;
    canAct = false;
    /** The supervisions whose disconnect has no answer yet, and whether "leave the other call" has none yet. */
    queued = [];
    queuedMine = false;
    /** The problem because of which a queued disconnect is retried. */
    unsent = null;
    refreshInterval = new RefreshInterval();
    connected = false;
    focus = { before: false };

    /** The page's record. It gives the contact or the agent, unless `contactId` or `agentUserId` is set. */
    @api
    get recordId() {
        return this.record;
    }
    set recordId(id) {
        this.changing(() => {
            this.record = id;
        });
    }

    /** The id of the customer's contact. */
    @api
    get contactId() {
        return this.given;
    }
    set contactId(id) {
        this.changing(() => {
            this.given = id;
        });
    }

    /** The Salesforce user id of the agent whose call is shown. */
    @api
    get agentUserId() {
        return this.givenAgent;
    }
    set agentUserId(id) {
        this.changing(() => {
            this.givenAgent = id;
        });
    }

    @wire(getRecord, { recordId: '$recordToRead', fields: '$fields', optionalFields: '$optionalFields' })
    recordLoaded({ data, error }) {
        if (data && this.fields) {
            this.recordError = null;
            this.recordOver = isOver(data, this.objectApiName);
            this.changing(() => {
                this.recordContact = valueOf(data, this.fields[0]);
            });
        } else if (error) {
            this.recordError = labels.RecordUnreadable;
        }
    }

    /** The contact that is shown: the one that is set, or that of the agent's call, or the record's. */
    get contact() {
        if (this.given || !this.agent) {
            return this.given || this.recordContact;
        }
        return this.agentCall && this.agentCall.agent === this.agent ? this.agentCall.contactId : undefined;
    }

    /** The agent that the page is about, if no contact is set. */
    get agent() {
        return this.given ? null : this.givenAgent || agentOf(this.objectApiName, this.contactIdField, this.record);
    }

    /** Applies a change that may lead to another call or agent. If it does, what was shown before is discarded. */
    changing(change) {
        const before = [this.contact, this.agent];
        change();
        if (this.connected && (this.contact !== before[0] || this.agent !== before[1])) {
            this.clearCall();
            this.refresh();
        }
    }

    clearCall() {
        this.supervisions = [];
        this.mine = null;
        this.loadedAt = null;
        // Errors of the previous call do not apply to this one.
        this.error = null;
        this.failed = null;
        this.recordError = null;
        this.busyElsewhere = null;
        this.risk = null;
    }

    /** The record to read the contact from, or undefined if the contact is known in another way. */
    get recordToRead() {
        return this.given || this.agent || !this.permitted || !this.fields ? undefined : this.record;
    }

    /** The field to read from it. The same array is returned for the same field, because @wire compares by identity. */
    get fields() {
        const field = contactField(this.objectApiName, this.contactIdField);
        if (!this.wanted || this.wanted[0] !== field) {
            this.wanted = [field];
        }
        return field ? this.wanted : undefined;
    }

    /** Fields that say whether the record's call is over, if the user may read them. */
    get optionalFields() {
        return dispositionField(this.objectApiName);
    }

    connectedCallback() {
        if (!this.permitted) {
            // Agents use the same record pages. Without the permission nothing is requested in their name.
            return;
        }
        this.connected = true;
        this.pending = new PendingLeave({
            send: ({ mine, supervisionId, requestKey }) =>
                mine ? disconnectMine({ requestKey }) : disconnectOne({ supervisionId, requestKey }),
            settled: (supervision, problem, unsent) => this.leaveSettled(supervision, problem, unsent),
            storage: storage(),
            timers: TIMERS
        });
        this.pendingChanged();
        this.online = () => this.reconnected();
        this.offline = () => {
            this.stale = true;
            this.failed = null;
        };
        window.addEventListener('online', this.online);
        window.addEventListener('offline', this.offline);
        this.canAct = Boolean(currentLegControl());
        this.stopControlListener = onLegControl((control) => {
            this.canAct = Boolean(control);
        });
        this.visibility = watchVisibility(this.template.host, (visible) => this.visibilityChanged(visible));
        this.visible = this.visibility.visible;
        this.refresh();
        this.receiver = joinReceiver((event) => this.receive(event));
        // Disconnects from before a reload that were not answered.
        this.pending.send();
    }

    disconnectedCallback() {
        if (!this.connected) {
            return;
        }
        this.connected = false;
        window.removeEventListener('online', this.online);
        window.removeEventListener('offline', this.offline);
        this.stopControlListener();
        this.visibility.stop();
        this.pending.stop();
        TIMERS.clear(this.timer);
        this.receiver.leave();
    }

    render() {
        this.focus.before = Boolean(this.template.activeElement);
        return template;
    }

    renderedCallback() {
        // If this rendering removed the button that had the focus, a keyboard user would lose their place.
        if (this.focus.before && !this.template.activeElement && this.refs.title) {
            this.refs.title.focus();
        }
        this.focus.before = false;
    }

    receive({ name, outcome, detail, supervision, reason, problem }) {
        if (name === 'unavailable') {
            this.receiverError = fill(labels.CannotReceive, problemText(problem));
            return;
        }
        if (name === 'available') {
            this.receiverError = null;
            return;
        }
        // A directive that another one has replaced is not an error for the user.
        if (name === 'carriedOut' && reason !== 'not_open' && (outcome === 'REFUSED' || outcome === 'FAILED')) {
            this.risk = isRisk(reason) ? reason : this.risk;
            this.error = fill(labels.LegNotEnded, detail);
        }
        if (supervision) {
            this.applySupervision(supervision);
        }
        if (name !== 'stream') {
            this.refresh();
        }
    }

    /** Reads the current state. An answer that arrives after a newer refresh has started is ignored. */
    async refresh() {
        TIMERS.clear(this.timer);
        // The view is read only while the user can see it. Directives and disconnects do not depend on it.
        if (!this.connected || !this.visible || (!this.contact && !this.agent)) {
            return;
        }
        this.refreshes = (this.refreshes || 0) + 1;
        const own = this.refreshes;
        const newest = () => own === this.refreshes && this.connected;
        try {
            if (this.agent) {
                await this.findAgentCall(newest);
            }
            const contactId = this.contact;
            const presence = contactId && newest() ? await presenceOf({ contactId }) : null;
            if (newest() && contactId === this.contact) {
                this.applyPresence(presence);
            }
        } catch (e) {
            if (newest()) {
                this.markStale(problemOf(e));
            }
        }
        if (newest() && !this.isSettled) {
            this.timer = TIMERS.set(() => this.refresh(), this.refreshInterval.next(this));
        }
    }

    visibilityChanged(visible) {
        this.visible = visible;
        if (visible) {
            this.refresh();
        } else {
            TIMERS.clear(this.timer);
        }
    }

    /** Finds the agent's call. While the supervisor is on one of their calls that call stays, so that its Disconnect does not vanish. */
    async findAgentCall(newest) {
        const { agent } = this;
        const same = this.agentCall && this.agentCall.agent === agent;
        if (same && (this.asking || isActive(this.own))) {
            return;
        }
        const { status, contactId, voiceCallId } = await liveCallOf({ agentUserId: agent });
        if (!newest() || agent !== this.agent) {
            return;
        }
        // A call that the supervisor has left stays until the agent has another one, so that they can see how it ended.
        const shown = contactId || (same && this.own ? this.contact : undefined);
        const another = shown !== this.contact;
        this.agentCall = { agent, status, contactId: shown, voiceCallId };
        if (another) {
            this.clearCall();
        }
    }

    applyPresence(presence) {
        this.stale = false;
        this.failed = null;
        if (!presence) {
            return;
        }
        const wasActive = isActive(this.own);
        this.supervisions = presence.supervisions;
        this.mine = ownOf(presence, this.receiver.connectUserId, this.mine);
        this.loadedAt = new Date().toISOString();
        this.modeAsked = null;
        if (wasActive && !isActive(this.own)) {
            // They have left, so an earlier error about leaving no longer applies.
            this.error = null;
            this.risk = null;
        }
        this.settle();
    }

    /** Marks what is shown as out of date. */
    markStale(problem) {
        this.stale = true;
        this.failed = problem.code ? problemText(problem) : null;
    }

    settle() {
        this.receiver.setBusy(isActive(this.own));
        const over = new Set(this.supervisions.filter((s) => !isActive(s)).map(({ id }) => id));
        this.queued = this.queued.filter((id) => !over.has(id));
    }

    applySupervision(supervision) {
        this.refreshInterval.expedite();
        const others = this.supervisions.filter((s) => s.id !== supervision.id);
        this.supervisions = supervision.contactId === this.contact ? [supervision, ...others] : others;
    }

    reconnected() {
        this.refresh();
        // Only disconnects are retried, with the same key. Nothing else that failed is sent again.
        this.pending.send();
        this.receiver.pull();
    }
}
