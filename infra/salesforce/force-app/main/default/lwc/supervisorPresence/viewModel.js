/**
 * What the template of supervisorPresence reads: getters that derive everything from the component's state.
 */
import hasPermission from '@salesforce/customPermission/Sidedoor_Supervise';
import { agentNoticeOf, queuedNoticeOf, staleNoticeOf } from './notices';
import { isActive, lineOf, mayAskAgain, modeChangePending, offersModes, stepsOf, summaryOf } from './view';

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
                : 'This page is not set up for a call. Set "Contact id field" or "Contact id" in the Lightning App Builder.';
        }
        get summary() {
            if (this.loadedAt || this.own) {
                return summaryOf(this.own, this.timeZone);
            }
            return this.agentNotice || 'Loading who is on this call…';
        }
        /** Why no call of the agent is shown, or that the agent has left the call shown. */
        get agentNotice() {
            return this.agent && this.agentCall && this.agentCall.agent === this.agent ? agentNoticeOf(this.agentCall.status) : null;
        }
        /** The same, only if a call is shown. Otherwise the summary already says it. */
        get agentCallNotice() {
            return this.loadedAt || this.own ? this.agentNotice : null;
        }
        get steps() {
            return this.own ? stepsOf(this.own, this.timeZone) : [];
        }
        get lines() {
            return this.supervisions.map((s) => lineOf(s, this.mine, this.timeZone));
        }
        get emptyText() {
            return this.loadedAt ? 'No supervisor is on this call.' : '';
        }
        /** The errors to show, without duplicates. */
        get errors() {
            return [...new Set([this.error, this.recordError, this.failed, this.receiverError])].filter(Boolean);
        }
        get staleNotice() {
            return staleNoticeOf({ stale: this.stale, failed: this.failed, loadedAt: this.loadedAt, zone: this.timeZone });
        }
        get queuedNotice() {
            return queuedNoticeOf({ stale: this.stale, unsent: this.unsent, own: this.queued.length > 0, mine: this.queuedMine });
        }
        get cannotActNotice() {
            return isActive(this.own) && !this.canAct
                ? 'This page has no Contact Control Panel. Your line is ended by another page of yours, or by you in the panel.'
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
            const inProgress = this.own.state === 'LEAVING' && !mayAskAgain(this.own, this.receiver.now());
            return this.queued.includes(this.own.id) || inProgress ? 'true' : 'false';
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
            return modeChangePending(this.own) ? 'The change was accepted but is not confirmed yet.' : null;
        }
    };
