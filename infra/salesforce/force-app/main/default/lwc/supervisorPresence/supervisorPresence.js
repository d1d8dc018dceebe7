/**
 * A supervisor's presence on the call of this record page, or on the call of the agent whom the page is about: listen, change between silence and speaking, leave; and who else is
 * on the call. It says what is so: what Sidedoor accepted, what the vendor confirmed, what Salesforce has.
 */
import { LightningElement, api, wire } from 'lwc';
import { getRecord } from 'lightning/uiRecordApi';
import presenceOf from '@salesforce/apex/SidedoorController.presence';
import listenTo from '@salesforce/apex/SidedoorController.listen';
import changeModeOf from '@salesforce/apex/SidedoorController.changeMode';
import disconnectOne from '@salesforce/apex/SidedoorController.disconnect';
import disconnectMine from '@salesforce/apex/SidedoorController.disconnectMine';
import liveCallOf from '@salesforce/apex/SidedoorAgentCall.liveCall';
import { problemOf } from 'c/directives';
import { currentLegControl, onLegControl } from 'c/legControl';
import { joinReceiver } from 'c/pageReceiver';
import template from './supervisorPresence.html';
import { isActive, modeUnderWay, ownOf } from './view';
import { newKey, PendingLeave } from './pendingLeave';
import { RefreshInterval } from './refreshInterval';
import { storage, TIMERS } from './page';
import { problemText, unansweredText } from './notices';
import { agentOf, contactField, isVoiceCall, valueOf } from './record';
import { WithViewModel } from './viewModel';

export default class SupervisorPresence extends WithViewModel(LightningElement) {
    /** Of which object it is. Of a VoiceCall the VendorCallKey is the contact id. */
    @api objectApiName;
    /** The field of the record that holds the contact id, if it is not a VoiceCall. */
    @api contactIdField;
    /** The row's VoiceCall, if it is not the record. */
    @api voiceCallId;
    /** Whether a supervisor may speak at all; listening is always silent at first. */
    @api allowBarge = false;
    /** The zone in which times are shown; the browser's if none is said. */
    @api timeZone;

    given;
    givenAgent;
    record;
    ofRecord;
    /** The last answer about the agent: {agent, status, contactId, voiceCallId}. */
    ofAgent = null;
    supervisions = [];
    mine = null;
    loadedAt = null;
    stale = false;
    /** The problem of the last look, if it has a code: then something answered, and it is no lack of a connection. */
    failed = null;
    error = null;
    recordError = null;
    unheard = null;
    busyElsewhere = false;
    asking = false;
    maySpeak = false;
    modeAsked = null;
    canAct = false;
    /** The supervisions whose disconnect is not answered yet, and whether that of whatever they listen to is not. */
    queued = [];
    queuedMine = false;
    /** The problem for which what is queued is tried again, if it was tried. */
    unsent = null;
    refreshInterval = new RefreshInterval();
    connected = false;
    focus = { before: false };

    /** The page's record, which says which contact, or which agent, it is about, unless one of them is given. */
    @api
    get recordId() {
        return this.record;
    }
    set recordId(id) {
        this.changing(() => {
            this.record = id;
        });
    }

    /** The customer's contact. */
    @api
    get contactId() {
        return this.given;
    }
    set contactId(id) {
        this.changing(() => {
            this.given = id;
        });
    }

    /** The agent, a Salesforce user, whose call it is about. */
    @api
    get agentUserId() {
        return this.givenAgent;
    }
    set agentUserId(id) {
        this.changing(() => {
            this.givenAgent = id;
        });
    }

    @wire(getRecord, { recordId: '$lookedUp', fields: '$fields' })
    takeRecord({ data, error }) {
        if (data && this.fields) {
            this.recordError = null;
            this.changing(() => {
                this.ofRecord = valueOf(data, this.fields[0]);
            });
        } else if (error) {
            this.recordError = 'The call of this record could not be read.';
        }
    }

    /** The contact that is shown: the given one, else that of the agent's call, else the record's. */
    get contact() {
        if (this.given || !this.agent) {
            return this.given || this.ofRecord;
        }
        return this.ofAgent && this.ofAgent.agent === this.agent ? this.ofAgent.contactId : undefined;
    }

    /** The agent whom the page is about, if it is not about a contact. */
    get agent() {
        return this.given ? null : this.givenAgent || agentOf(this.objectApiName, this.contactIdField, this.record);
    }

    /** Does what may make the page one about another call or agent; then nothing of the one before stays. */
    changing(what) {
        const before = [this.contact, this.agent];
        what();
        if (this.connected && (this.contact !== before[0] || this.agent !== before[1])) {
            this.forgetCall();
            this.refresh();
        }
    }

    forgetCall() {
        this.supervisions = [];
        this.mine = null;
        this.loadedAt = null;
        // What went wrong with the call before says nothing of this one.
        this.error = null;
        this.failed = null;
        this.recordError = null;
        this.busyElsewhere = false;
    }

    /** Only a record is looked up that says which contact, where nothing else does. */
    get lookedUp() {
        return this.given || this.agent || !this.permitted || !this.fields ? undefined : this.record;
    }

    /** What to look up in it: the same array for the same field, since the wire compares. */
    get fields() {
        const field = contactField(this.objectApiName, this.contactIdField);
        if (!this.wanted || this.wanted[0] !== field) {
            this.wanted = [field];
        }
        return field ? this.wanted : undefined;
    }

    connectedCallback() {
        if (!this.permitted) {
            // Agents have the same record pages: nothing is asked in their name.
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
        this.online = () => this.cameBack();
        this.offline = () => {
            this.stale = true;
            this.failed = null;
        };
        window.addEventListener('online', this.online);
        window.addEventListener('offline', this.offline);
        this.canAct = Boolean(currentLegControl());
        this.forgetControl = onLegControl((control) => {
            this.canAct = Boolean(control);
        });
        this.refresh();
        this.receiver = joinReceiver((what) => this.heard(what));
        // Pressed before a reload, and never answered.
        this.pending.send();
    }

    disconnectedCallback() {
        if (!this.connected) {
            return;
        }
        this.connected = false;
        window.removeEventListener('online', this.online);
        window.removeEventListener('offline', this.offline);
        this.forgetControl();
        this.pending.stop();
        TIMERS.clear(this.timer);
        this.receiver.leave();
    }

    render() {
        this.focus.before = Boolean(this.template.activeElement);
        return template;
    }

    renderedCallback() {
        // A button that had the focus until this very rendering, and is gone, would leave a keyboard nowhere.
        if (this.focus.before && !this.template.activeElement && this.refs.title) {
            this.refs.title.focus();
        }
        this.focus.before = false;
    }

    heard({ name, outcome, detail, supervision, reason, problem }) {
        if (name === 'unavailable') {
            this.unheard = `Directives cannot be received: ${problemText(problem)}`;
            return;
        }
        if (name === 'available') {
            this.unheard = null;
            return;
        }
        // One that another has replaced is nobody's trouble.
        if (name === 'carriedOut' && reason !== 'not_open' && (outcome === 'REFUSED' || outcome === 'FAILED')) {
            this.error = `Your browser did not end your line (${detail}). Press Disconnect again, or end your own line in your Contact Control Panel.`;
        }
        if (supervision) {
            this.take(supervision);
        }
        if (name !== 'stream') {
            this.refresh();
        }
    }

    /** Looks how it stands. What comes back late, after a newer look, is passed over. */
    async refresh() {
        TIMERS.clear(this.timer);
        if (!this.connected || (!this.contact && !this.agent)) {
            return;
        }
        this.looks = (this.looks || 0) + 1;
        const look = this.looks;
        const newest = () => look === this.looks && this.connected;
        try {
            if (this.agent) {
                await this.findCall(newest);
            }
            const contactId = this.contact;
            const presence = contactId && newest() ? await presenceOf({ contactId }) : null;
            if (newest() && contactId === this.contact) {
                this.reached(presence);
            }
        } catch (e) {
            if (newest()) {
                this.notReached(problemOf(e));
            }
        }
        if (newest()) {
            this.timer = TIMERS.set(() => this.refresh(), this.refreshInterval.next(this));
        }
    }

    /** Which call the agent is on. While the supervisor is on one of theirs that one is shown: its Disconnect must not go away. */
    async findCall(newest) {
        const { agent } = this;
        const same = this.ofAgent && this.ofAgent.agent === agent;
        if (same && (this.asking || isActive(this.own))) {
            return;
        }
        const { status, contactId, voiceCallId } = await liveCallOf({ agentUserId: agent });
        if (!newest() || agent !== this.agent) {
            return;
        }
        // One that they have left stays too, until the agent has another: how it ended is still of interest.
        const shown = contactId || (same && this.own ? this.contact : undefined);
        const another = shown !== this.contact;
        this.ofAgent = { agent, status, contactId: shown, voiceCallId };
        if (another) {
            this.forgetCall();
        }
    }

    reached(presence) {
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
            // Whatever kept them from leaving does no longer.
            this.error = null;
        }
        this.settle();
    }

    /** What is shown is old from here on. */
    notReached(problem) {
        this.stale = true;
        this.failed = problem.code ? problemText(problem) : null;
    }

    settle() {
        this.receiver.setBusy(isActive(this.own));
        const over = new Set(this.supervisions.filter((s) => !isActive(s)).map(({ id }) => id));
        this.queued = this.queued.filter((id) => !over.has(id));
    }

    take(supervision) {
        this.refreshInterval.expedite();
        const others = this.supervisions.filter((s) => s.id !== supervision.id);
        this.supervisions = supervision.contactId === this.contact ? [supervision, ...others] : others;
    }

    cameBack() {
        this.refresh();
        // A disconnect is sent again, with the same key. Nothing else that failed is.
        this.pending.send();
        this.receiver.pull();
    }

    listen(event) {
        event.preventDefault();
        if (this.listenDisabled === 'true') {
            if (this.isOffline) {
                this.error = 'You are offline. Nothing was sent, and nothing will be: press Listen again when you are back.';
            }
            return;
        }
        this.start(false);
    }

    switchHere() {
        this.start(true);
    }

    async start(leaveCurrent) {
        this.error = null;
        this.busyElsewhere = false;
        this.asking = true;
        try {
            const supervision = await listenTo({
                contactId: this.contact,
                voiceCallId: this.voiceCallOf() || null,
                mode: this.maySpeak ? 'BARGE' : 'SILENT',
                leaveCurrent,
                requestKey: newKey('listen')
            });
            this.mine = supervision.id;
            this.take(supervision);
        } catch (e) {
            const problem = problemOf(e);
            this.busyElsewhere = problem.code === 'supervisor_conflict';
            if (problem.unanswered) {
                // It may have arrived or not; what is there will show. It is not sent again: a late join is worse than none.
                this.error = unansweredText('your request to listen', problem);
            } else if (!this.busyElsewhere) {
                this.error = problemText(problem);
            }
        }
        this.asking = false;
        this.refresh();
    }

    voiceCallOf() {
        const found = this.agent && this.ofAgent ? this.ofAgent.voiceCallId : null;
        return this.voiceCallId || found || (isVoiceCall(this.objectApiName) && !this.agent && this.record);
    }

    leaveOther() {
        this.busyElsewhere = false;
        this.error = null;
        this.pending.askMine();
        this.pendingChanged();
    }

    disconnect(event) {
        event.preventDefault();
        if (this.disconnectDisabled === 'true' || !this.own) {
            return;
        }
        this.error = null;
        this.pending.ask(this.own.id);
        this.pendingChanged();
    }

    pendingChanged() {
        this.queued = this.pending.supervisionIds;
        this.queuedMine = this.pending.waitsForMine;
        if (this.queued.length === 0 && !this.queuedMine) {
            this.unsent = null;
        }
    }

    leaveSettled(supervision, problem, unsent) {
        this.pendingChanged();
        if (supervision) {
            this.take(supervision);
            // The answer carries a directive for the browser that holds the leg; the service says whether that is us.
            this.receiver.pull();
        }
        if (problem) {
            this.error = problemText(problem);
        }
        if (unsent) {
            this.unsent = unsent;
            this.notReached(unsent);
        }
        this.refresh();
    }

    changeMaySpeak(event) {
        this.maySpeak = event.target.checked;
    }

    async changeMode(event) {
        const mode = event.currentTarget.value;
        if (this.modeDisabled === 'true' || (mode === this.own.mode && !modeUnderWay(this.own))) {
            return;
        }
        this.error = null;
        this.modeAsked = mode;
        try {
            this.take(await changeModeOf({ supervisionId: this.own.id, mode, requestKey: newKey('mode') }));
            this.receiver.pull();
        } catch (e) {
            const problem = problemOf(e);
            this.modeAsked = null;
            this.error = problem.unanswered ? unansweredText('your change of mode', problem) : problemText(problem);
        }
        this.refresh();
    }
}
