/**
 * What the component's template reads: all of it follows from the state that supervisorPresence.js keeps. Getters only.
 */
import hasPermission from '@salesforce/customPermission/Sidedoor_Supervise';
import { agentNoticeOf, queuedNoticeOf, staleNoticeOf } from './notices';
import { isActive, lineOf, mayAskAgain, modeUnderWay, offersModes, stepsOf, summaryOf } from './view';

export const WithViewModel = (Base) =>
    class extends Base {
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
            return this.contact || this.agent || this.fields
                ? null
                : 'This page does not say which call it is about: set Contact id field, or Contact id.';
        }
        get summary() {
            if (this.loadedAt || this.own) {
                return summaryOf(this.own, this.timeZone);
            }
            return this.agentNotice || 'Looking who is on this call…';
        }
        /** Why no call of the agent's is shown, or that the one which is shown is over for them. */
        get agentNotice() {
            return this.agent && this.ofAgent && this.ofAgent.agent === this.agent ? agentNoticeOf(this.ofAgent.status) : null;
        }
        /** The same beside a call that is shown: the summary says it where none is. */
        get agentWord() {
            return this.loadedAt || this.own ? this.agentNotice : null;
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
            return queuedNoticeOf({ stale: this.stale, unsent: this.unsent, own: this.queued.length > 0, mine: this.queuedMine });
        }
        get cannotActNotice() {
            return isActive(this.own) && !this.canAct
                ? 'This page holds no Contact Control Panel: another page of yours, or you yourself in the panel, ends your line.'
                : null;
        }
        get showListen() {
            return !isActive(this.own) && Boolean(this.loadedAt) && !this.agentNotice;
        }
        get listenDisabled() {
            return this.asking || this.stale || this.isOffline || this.queued.length > 0 || this.queuedMine ? 'true' : 'false';
        }
        get canSpeakHere() {
            return this.allowBarge === true || this.allowBarge === 'true';
        }
        get showDisconnect() {
            return isActive(this.own);
        }
        get disconnectDisabled() {
            const underWay = this.own.state === 'LEAVING' && !mayAskAgain(this.own, this.receiver.now());
            return this.queued.includes(this.own.id) || underWay ? 'true' : 'false';
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
    };
