/**
 * Shows an agent that a supervisor is on their call, where the rules of the call's jurisdiction ask for that. The service publishes
 * the Platform Event Supervision_Notice__e for such calls only, so that this component shows nothing elsewhere.
 *
 * On the page of a call it shows the notices of that call, otherwise those of all the agent's calls. It is subscribed only while the
 * user can see it, because the org pays for each event that is delivered to each subscribed page. An event that was published before
 * the page was open is not delivered again.
 */
import { LightningElement, api, wire } from 'lwc';
import { subscribe, unsubscribe } from 'lightning/empApi';
import { getRecord } from 'lightning/uiRecordApi';
import USER_ID from '@salesforce/user/Id';
import { fill, labels } from 'c/labels';
import { TIMERS, watchVisibility } from 'c/supervision';

const CHANNEL = '/event/Supervision_Notice__e';
const KEY_FIELD = 'VoiceCall.VendorCallKey';
/** How long the end of a supervision is shown. */
const ENDED_MS = 15000;

const same = (one, other) => String(one || '').slice(0, 15) === String(other || '').slice(0, 15);

export default class SupervisionNotice extends LightningElement {
    @api recordId;
    @api objectApiName;

    contactId = null;
    /** The supervisions that are known to be going on: Map of supervision id → payload. Replaced on each change. */
    going = new Map();
    ended = false;

    get fields() {
        return this.objectApiName === 'VoiceCall' ? [KEY_FIELD] : undefined;
    }

    @wire(getRecord, { recordId: '$recordId', fields: '$fields' })
    recordLoaded({ data }) {
        if (data) {
            const member = data.fields.VendorCallKey;
            this.contactId = (member && member.value) || null;
        }
    }

    connectedCallback() {
        this.visibility = watchVisibility(this.template.host, (visible) => (visible ? this.listen() : this.stop()));
        if (this.visibility.visible) {
            this.listen();
        }
    }

    disconnectedCallback() {
        this.visibility.stop();
        TIMERS.clear(this.timer);
        this.stop();
    }

    async listen() {
        this.wanted = true;
        if (this.subscription || this.subscribing) {
            return;
        }
        this.subscribing = true;
        try {
            this.subscription = await subscribe(CHANNEL, -1, (message) => this.receive(message));
        } catch {
            // Without access to the event there is nothing to show. The next time that the page is shown it tries again.
        }
        this.subscribing = false;
        if (!this.wanted) {
            this.stop();
        }
    }

    stop() {
        this.wanted = false;
        if (this.subscription) {
            unsubscribe(this.subscription, () => {});
            this.subscription = null;
        }
    }

    receive(message) {
        const payload = message && message.data && message.data.payload;
        if (!payload || !same(payload.Agent__c, USER_ID) || !payload.Supervision_Id__c) {
            return;
        }
        if (this.fields && this.contactId && payload.Contact_Id__c !== this.contactId) {
            return;
        }
        const going = new Map(this.going);
        const known = going.delete(payload.Supervision_Id__c);
        TIMERS.clear(this.timer);
        if (payload.State__c === 'ENDED') {
            this.ended = known && going.size === 0;
            this.timer = TIMERS.set(() => {
                this.ended = false;
            }, ENDED_MS);
        } else {
            going.set(payload.Supervision_Id__c, payload);
            this.ended = false;
        }
        this.going = going;
    }

    get notices() {
        return [...this.going.values()].map((payload) => {
            const name = payload.Supervisor_Name__c;
            const speaks = payload.Mode__c === 'BARGE';
            const unnamed = speaks ? labels.NoticeSpeaking : labels.NoticeListening;
            const named = speaks ? labels.NoticeSpeakingNamed : labels.NoticeListeningNamed;
            return { key: payload.Supervision_Id__c, text: name ? fill(named, name) : unnamed };
        });
    }

    get endedText() {
        return this.ended ? labels.NoticeEnded : '';
    }

    get className() {
        return this.notices.length > 0 || this.ended ? 'notice' : 'quiet';
    }
}
