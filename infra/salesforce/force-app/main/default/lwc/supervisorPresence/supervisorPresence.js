/**
 * A supervisor's presence on the call of this record page: listen, change between silence and speaking, leave; and who else is
 * on the call. It says what is so: what Sidedoor accepted, what the vendor confirmed, what Salesforce has.
 */
import { LightningElement, api, wire } from 'lwc';
import { getRecord } from 'lightning/uiRecordApi';
import presenceOf from '@salesforce/apex/SidedoorController.presence';
import listenTo from '@salesforce/apex/SidedoorController.listen';
import changeModeOf from '@salesforce/apex/SidedoorController.changeMode';
import disconnectOne from '@salesforce/apex/SidedoorController.disconnect';
import disconnectMine from '@salesforce/apex/SidedoorController.disconnectMine';
import hasPermission from '@salesforce/customPermission/Sidedoor_Supervise';
import { problemOf } from 'c/directives';
import { currentLegControl, onLegControl } from 'c/legControl';
import { joinReceiver } from 'c/pageReceiver';
import template from './supervisorPresence.html';
import { inMotion, isActive, lineOf, mayAskAgain, modeUnderWay, offersModes, ownOf, stepsOf, summaryOf } from './view';
import { newKey, PendingLeave } from './pendingLeave';
import { storage, TIMERS } from './page';
import { queuedNoticeOf, staleNoticeOf, told, unknown } from './notices';
import { contactField, isVoiceCall, valueOf } from './record';

/** How often to look: at once after something was done here, soon while something is on its way, seldom otherwise. */
const AT_ONCE_MS = 500;
const AT_ONCE_TIMES = 6;
const SOON_MS = 2000;
const SELDOM_MS = 15000;

export default class SupervisorPresence extends LightningElement {
    /** The page's record, which says which contact it is about, unless contactId is given. */
    @api recordId;
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
    ofRecord;
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
    queuedFor = null;
    queuedMine = false;
    /** The problem for which what is queued is tried again, if it was tried. */
    unsent = null;
    eager = 0;
    connected = false;
    focus = { before: false };

    /** The customer's contact. */
    @api
    get contactId() {
        return this.given;
    }
    set contactId(id) {
        const before = this.contact;
        this.given = id;
        this.contactChanged(before);
    }

    @wire(getRecord, { recordId: '$lookedUp', fields: '$fields' })
    takeRecord({ data, error }) {
        const before = this.contact;
        if (data && this.fields) {
            this.recordError = null;
            this.ofRecord = valueOf(data, this.fields[0]);
            this.contactChanged(before);
        } else if (error) {
            this.recordError = 'The call of this record could not be read.';
        }
    }

    /** The contact that is shown: the given one, else the record's. */
    get contact() {
        return this.given || this.ofRecord;
    }

    contactChanged(before) {
        if (this.connected && this.contact !== before) {
            this.supervisions = [];
            this.mine = null;
            this.loadedAt = null;
            // What went wrong with the call before says nothing of this one.
            this.error = null;
            this.failed = null;
            this.recordError = null;
            this.busyElsewhere = false;
            this.refresh();
        }
    }

    /** Only a record without a given contact is looked up. */
    get lookedUp() {
        return this.given || !this.permitted || !this.fields ? undefined : this.recordId;
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
        this.forget = onLegControl((control) => {
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
        this.forget();
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
            this.unheard = `Directives cannot be received: ${told(problem)}`;
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
        const contactId = this.contact;
        if (!this.connected || !contactId) {
            return;
        }
        this.looks = (this.looks || 0) + 1;
        const look = this.looks;
        try {
            const presence = await presenceOf({ contactId });
            if (look === this.looks && this.connected && contactId === this.contact) {
                const wasActive = isActive(this.own);
                this.supervisions = presence.supervisions;
                this.mine = ownOf(presence, this.receiver.connectUserId, this.mine);
                this.loadedAt = new Date().toISOString();
                this.stale = false;
                this.failed = null;
                this.modeAsked = null;
                if (wasActive && !isActive(this.own)) {
                    // Whatever kept them from leaving does no longer.
                    this.error = null;
                }
                this.settle();
            }
        } catch (e) {
            if (look === this.looks) {
                this.notReached(problemOf(e));
            }
        }
        if (look === this.looks && this.connected) {
            this.timer = TIMERS.set(() => this.refresh(), this.pace());
        }
    }

    /** What is shown is old from here on. */
    notReached(problem) {
        this.stale = true;
        this.failed = problem.code ? told(problem) : null;
    }

    pace() {
        if (this.eager > 0 && !this.stale) {
            this.eager -= 1;
            return AT_ONCE_MS;
        }
        const soon = this.stale || this.queuedFor || this.queuedMine || this.supervisions.some(inMotion);
        return soon ? SOON_MS : SELDOM_MS;
    }

    settle() {
        this.receiver.setBusy(isActive(this.own));
        if (this.queuedFor) {
            const queued = this.supervisions.find((s) => s.id === this.queuedFor);
            if (queued && !isActive(queued)) {
                this.queuedFor = null;
            }
        }
    }

    take(supervision) {
        this.eager = AT_ONCE_TIMES;
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
                voiceCallId: this.voiceCallId || (isVoiceCall(this.objectApiName) && this.recordId) || null,
                mode: this.maySpeak ? 'BARGE' : 'SILENT',
                leaveCurrent,
                requestKey: newKey('listen')
            });
            this.mine = supervision.id;
            this.take(supervision);
        } catch (e) {
            const problem = problemOf(e);
            this.busyElsewhere = problem.code === 'supervisor_busy';
            if (problem.unanswered) {
                // It may have arrived or not; what is there will show. It is not sent again: a late join is worse than none.
                this.error = unknown('your request to listen', problem);
            } else if (!this.busyElsewhere) {
                this.error = told(problem);
            }
        }
        this.asking = false;
        this.refresh();
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
        this.queuedFor = this.pending.supervisionId;
        this.queuedMine = this.pending.waitsForMine;
        this.unsent = null;
    }

    leaveSettled(supervision, problem, unsent) {
        this.pendingChanged();
        if (supervision) {
            this.take(supervision);
            // The answer carries a directive for the browser that holds the leg; the service says whether that is us.
            this.receiver.pull();
        }
        if (problem) {
            this.error = told(problem);
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
            this.error = problem.unanswered ? unknown('your change of mode', problem) : told(problem);
        }
        this.refresh();
    }

    get permitted() {
        return Boolean(hasPermission);
    }

    get own() {
        return this.supervisions.find((s) => s.id === this.mine) || null;
    }
    get isOffline() {
        return typeof navigator !== 'undefined' && navigator.onLine === false;
    }
    get unknownContact() {
        return this.contact || this.given || this.fields
            ? null
            : 'This page does not say which call it is about: set Contact id field, or Contact id.';
    }
    get summary() {
        return this.loadedAt || this.own ? summaryOf(this.own, this.timeZone) : 'Looking who is on this call…';
    }
    get steps() {
        return this.own ? stepsOf(this.own, this.timeZone) : [];
    }
    get lines() {
        return this.supervisions.map((s) => lineOf(s, this.mine, this.timeZone));
    }
    get nobodyText() {
        return this.loadedAt ? 'No supervisor is on this call.' : '';
    }
    /** What is wrong, each once. */
    get errors() {
        return [...new Set([this.error, this.recordError, this.failed, this.unheard])].filter(Boolean);
    }
    get staleNotice() {
        return staleNoticeOf({ stale: this.stale, failed: this.failed, loadedAt: this.loadedAt, zone: this.timeZone });
    }
    get queuedNotice() {
        return queuedNoticeOf({ stale: this.stale, unsent: this.unsent, own: this.queuedFor, mine: this.queuedMine });
    }
    get cannotActNotice() {
        return isActive(this.own) && !this.canAct
            ? 'This page holds no Contact Control Panel: another page of yours, or you yourself in the panel, ends your line.'
            : null;
    }
    get showListen() {
        return !isActive(this.own) && Boolean(this.loadedAt);
    }
    get listenDisabled() {
        return this.asking || this.stale || this.isOffline || Boolean(this.queuedFor) || this.queuedMine ? 'true' : 'false';
    }
    get canSpeakHere() {
        return this.allowBarge === true || this.allowBarge === 'true';
    }
    get showDisconnect() {
        return isActive(this.own);
    }
    get disconnectDisabled() {
        const underWay = this.own.state === 'LEAVING' && !mayAskAgain(this.own, this.receiver.now());
        return this.queuedFor || underWay ? 'true' : 'false';
    }
    get showModes() {
        return this.canSpeakHere && offersModes(this.own);
    }
    get silentPressed() {
        return this.own.mode === 'SILENT' ? 'true' : 'false';
    }
    get bargePressed() {
        return this.own.mode === 'BARGE' ? 'true' : 'false';
    }
    get modeDisabled() {
        return this.stale || this.modeAsked !== null ? 'true' : 'false';
    }
    get modeNotice() {
        return modeUnderWay(this.own) ? 'The change is accepted, and not confirmed yet.' : null;
    }
}
