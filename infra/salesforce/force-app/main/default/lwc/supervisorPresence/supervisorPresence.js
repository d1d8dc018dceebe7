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
import { inMotion, isActive, lineOf, mayAskAgain, ownOf, stepsOf, summaryOf, timeOf } from './view';
import { newKey, PendingLeave } from './pendingLeave';
import { storage, TIMERS } from './page';
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
    error = null;
    unheard = null;
    busyElsewhere = false;
    asking = false;
    maySpeak = false;
    modeAsked = null;
    canAct = false;
    queuedFor = null;
    eager = 0;
    connected = false;

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
            this.ofRecord = valueOf(data, this.fields[0]);
            this.contactChanged(before);
        } else if (error) {
            this.error = 'The call of this record could not be read.';
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
            send: ({ supervisionId, requestKey }) => disconnectOne({ supervisionId, requestKey }),
            settled: (supervision, problem) => this.leaveSettled(supervision, problem),
            storage: storage(),
            timers: TIMERS
        });
        this.queuedFor = this.pending.supervisionId;
        this.online = () => this.cameBack();
        this.offline = () => {
            this.stale = true;
        };
        window.addEventListener('online', this.online);
        window.addEventListener('offline', this.offline);
        this.canAct = Boolean(currentLegControl());
        this.forget = onLegControl((control) => {
            this.canAct = Boolean(control);
        });
        this.refresh();
        this.receiver = joinReceiver((what) => this.heard(what));
        if (this.queuedFor) {
            // Pressed before a reload, and never answered.
            this.pending.send();
        }
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

    renderedCallback() {
        // A button that had the focus and is gone would leave a keyboard nowhere.
        if (this.hadFocus && !this.template.activeElement) {
            const { title } = this.refs;
            if (title) {
                title.focus();
            }
            this.hadFocus = false;
        }
    }

    heard({ name, outcome, detail, supervision, reason, problem }) {
        if (name === 'unavailable') {
            this.unheard = `Directives cannot be received: ${problem.message}`;
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
                this.noteFocus();
                this.supervisions = presence.supervisions;
                this.mine = ownOf(presence, this.receiver.connectUserId, this.mine);
                this.loadedAt = new Date().toISOString();
                this.stale = false;
                this.modeAsked = null;
                this.settle();
            }
        } catch (e) {
            const problem = problemOf(e);
            if (problem.final) {
                this.error = problem.message;
            }
            this.stale = true;
        }
        if (look === this.looks && this.connected) {
            this.timer = TIMERS.set(() => this.refresh(), this.pace());
        }
    }

    pace() {
        if (this.eager > 0 && !this.stale) {
            this.eager -= 1;
            return AT_ONCE_MS;
        }
        const soon = this.stale || this.queuedFor || this.supervisions.some(inMotion);
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
        this.noteFocus();
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
                this.error = 'Nobody knows whether your request to listen arrived. It will not be sent again by itself.';
            } else if (!this.busyElsewhere) {
                this.error = problem.message;
            }
        }
        this.asking = false;
        this.refresh();
    }

    async leaveOther() {
        this.busyElsewhere = false;
        try {
            await disconnectMine({ requestKey: newKey('leave-mine') });
        } catch (e) {
            this.error = problemOf(e).message;
        }
        this.refresh();
    }

    disconnect(event) {
        event.preventDefault();
        if (this.disconnectDisabled === 'true' || !this.own) {
            return;
        }
        this.error = null;
        this.queuedFor = this.own.id;
        this.pending.ask(this.own.id);
    }

    leaveSettled(supervision, problem) {
        this.queuedFor = this.pending.supervisionId;
        if (supervision) {
            this.take(supervision);
            // The answer carries a directive for the browser that holds the leg; the service says whether that is us.
            this.receiver.pull();
        }
        if (problem) {
            this.error = problem.message;
        }
        if (!supervision && !problem) {
            this.stale = true;
        }
        this.refresh();
    }

    changeMaySpeak(event) {
        this.maySpeak = event.target.checked;
    }

    async changeMode(event) {
        const mode = event.target.value;
        this.error = null;
        this.modeAsked = mode;
        try {
            this.take(await changeModeOf({ supervisionId: this.own.id, mode, requestKey: newKey('mode') }));
            this.receiver.pull();
        } catch (e) {
            const problem = problemOf(e);
            this.modeAsked = null;
            this.error = problem.unanswered
                ? 'Nobody knows whether your change of mode arrived. It will not be sent again by itself.'
                : problem.message;
        }
        this.refresh();
    }

    get permitted() {
        return Boolean(hasPermission);
    }

    noteFocus() {
        this.hadFocus = Boolean(this.template.activeElement);
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
    get staleNotice() {
        if (!this.stale) {
            return null;
        }
        return this.loadedAt
            ? `No connection. This is how it stood at ${timeOf(this.loadedAt, this.timeZone)}.`
            : 'No connection. Nothing is known yet.';
    }
    get queuedNotice() {
        return this.queuedFor && this.stale
            ? 'Your disconnect has not been sent yet. It is sent as soon as there is a connection.'
            : null;
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
        return this.asking || this.stale || this.isOffline || Boolean(this.queuedFor) ? 'true' : 'false';
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
        const { own } = this;
        if (!own || own.state !== 'MONITORING' || !this.canSpeakHere) {
            return false;
        }
        // Of an observed leg nobody knows what was granted: the service decides.
        return !own.allowedModes || own.allowedModes.includes('BARGE');
    }
    get isSilent() {
        return (this.modeAsked || this.own.mode) === 'SILENT';
    }
    get isBarge() {
        return (this.modeAsked || this.own.mode) === 'BARGE';
    }
    get modeUnderWay() {
        const change = this.own.modeChange;
        return Boolean(change) && !change.confirmedAt && change.mode !== this.own.mode;
    }
    get modeDisabled() {
        return this.stale || this.modeAsked !== null;
    }
    get modeNotice() {
        return this.modeUnderWay ? 'The change is accepted, and not confirmed yet.' : null;
    }
}
