/**
 * What the template of supervisorPresence reads: getters that derive everything from the component's state.
 */
import hasPermission from '@salesforce/customPermission/Sidedoor_Supervise';
import { fill, labels } from 'c/labels';
import {
    agentNoticeOf, callIsOver, inMotion, isActive, lineOf, mayAskAgain, modeChangePending, offersModes, queuedNoticeOf, staleNoticeOf,
    stateWord, stepsOf, summaryOf
} from 'c/supervision';

/** The state of the supervision in the way. Whether it was joined is not known, so a listening one counts as joined. */
const stateOf = ({ state }) => stateWord({ state, joinedAt: true });
const isOff = (property) => property === false || property === 'false';

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
                : labels.NotSetUp;
        }
        get summary() {
            if (this.loadedAt || this.own) {
                return summaryOf(this.own, this.timeZone);
            }
            return this.agentNotice || labels.Loading;
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
            return this.loadedAt ? labels.NoSupervisor : '';
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
            return isActive(this.own) && this.disconnectsHere && !this.canAct ? labels.CannotAct : null;
        }
        get showListen() {
            return this.startsHere && !isActive(this.own) && Boolean(this.loadedAt) && !this.agentNotice && !this.over;
        }
        get startsHere() {
            return !isOff(this.canStart);
        }
        get disconnectsHere() {
            return !isOff(this.canDisconnect);
        }
        /** Whether the customer's call is over, according to Salesforce or to a departure. */
        get over() {
            return this.recordOver || this.supervisions.some(callIsOver);
        }
        get overNotice() {
            return this.over && !isActive(this.own) ? labels.CallOver : null;
        }
        /** Whether nothing can change any more, so that nothing needs to be read again. */
        get isSettled() {
            return this.over && !this.agent && !this.stale && !this.supervisions.some((s) => isActive(s) || inMotion(s));
        }
        /** What to do in Salesforce's own softphone, where this page cannot act. */
        get softphoneNotice() {
            if (isActive(this.own)) {
                return this.disconnectsHere ? null : labels.LeaveInSoftphone;
            }
            return this.startsHere || this.over ? null : labels.StartInCommandCenter;
        }
        get busyText() {
            const { current, retryAfterMs } = this.busyElsewhere;
            const what = current ? fill(labels.OnAnotherCallNamed, current.contactId, stateOf(current)) : labels.OnAnotherCallAlready;
            return retryAfterMs ? `${what} ${fill(labels.TryAgainIn, Math.ceil(retryAfterMs / 1000))}` : what;
        }
        get listenDisabled() {
            return this.asking || this.stale || this.isOffline || this.queued.length > 0 || this.queuedMine ? 'true' : 'false';
        }
        get canSpeakHere() {
            return this.allowBarge === true || this.allowBarge === 'true';
        }
        get showDisconnect() {
            return isActive(this.own) && this.disconnectsHere;
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
            return modeChangePending(this.own) ? labels.ModePending : null;
        }
    };
