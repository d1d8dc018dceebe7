/**
 * What the template of supervisorBoard reads: getters that derive everything from the component's state.
 */
import { fill, labels } from 'c/labels';
import { isActive, problemText, queuedNoticeOf, staleNoticeOf, stateWord, timeOf } from 'c/supervision';
import { channelOf, choicesOf, departuresOf, leaveDisabled, ownSentence, placeOf } from './boardView';

const isOff = (property) => property === false || property === 'false';

export const WithBoardView = (Base) =>
    class extends Base {
        get isOffline() {
            return typeof navigator !== 'undefined' && navigator.onLine === false;
        }
        get startsHere() {
            return !isOff(this.canStart);
        }
        get disconnectsHere() {
            return !isOff(this.canDisconnect);
        }
        get asksReason() {
            return this.startsHere && (this.askReason === true || this.askReason === 'true');
        }
        /** The service's time in ms, by which a directive expires. */
        get serviceNow() {
            return this.receiver ? this.receiver.now() : Date.now();
        }
        get active() {
            return (this.mine || []).filter(isActive);
        }
        get rowView() {
            return {
                own: new Map(this.active.map((s) => [s.contactId, s])),
                ownKnown: this.mine !== null,
                // Durations are those at the polling round that the board shows.
                now: Date.parse(this.asOf || this.loadedAt),
                zone: this.timeZone,
                canStart: this.startsHere,
                canDisconnect: this.disconnectsHere,
                asking: Boolean(this.moving) || this.queuedMine,
                queued: this.queued,
                serviceNow: this.serviceNow
            };
        }
        get ownText() {
            return this.mine === null ? labels.BoardLoading : ownSentence(this.mine, this.moving, this.agents);
        }
        get ownClass() {
            return this.active.length > 0 || this.moving ? 'own own_active' : 'own';
        }
        /** A Disconnect for each contact that the supervisor is on; almost always one. */
        get ownLegs() {
            return (this.disconnectsHere ? this.active : []).map((s) => ({
                id: s.id,
                label: fill(labels.DisconnectFrom, placeOf(s, this.agents)),
                disabled: leaveDisabled(s, this.rowView) ? 'true' : 'false'
            }));
        }
        get ownSoftphone() {
            return this.active.length > 0 && !this.disconnectsHere ? labels.LeaveInSoftphone : null;
        }
        get startNotice() {
            return this.startsHere ? null : labels.StartInCommandCenter;
        }
        get errors() {
            return [...new Set([this.error, this.boardProblem, this.failed, this.receiverError])].filter(Boolean);
        }
        get staleNotice() {
            return staleNoticeOf({ stale: this.stale, failed: this.failed, loadedAt: this.loadedAt, zone: this.timeZone });
        }
        get queuedNotice() {
            return queuedNoticeOf({ stale: this.stale, unsent: this.unsent, own: this.queued.length > 0, mine: this.queuedMine });
        }
        get partNotice() {
            return this.partProblem ? fill(labels.BoardPresenceMissing, this.partProblem) : null;
        }
        get listNotice() {
            if (!this.loadedAt) {
                return this.boardProblem ? null : labels.BoardLoading;
            }
            if (!this.asOf && !this.partProblem) {
                return labels.BoardNotKnownYet;
            }
            return this.isComplete || this.partProblem ? null : labels.BoardIncomplete;
        }
        get countText() {
            if (!this.loadedAt) {
                return '';
            }
            const contacts = this.rows.reduce((sum, row) => sum + row.contacts.length, 0);
            const count = fill(labels.BoardCount, this.rows.length, this.agents.length, contacts);
            return this.asOf ? `${count} (${fill(labels.BoardAsOf, timeOf(this.asOf, this.timeZone))})` : count;
        }
        get isEmpty() {
            return Boolean(this.loadedAt) && this.rows.length === 0;
        }
        get queueChoices() {
            return choicesOf(this.agents, 'queue', labels.BoardAllQueues);
        }
        get channelChoices() {
            return choicesOf(this.agents, 'channel', labels.BoardAllChannels, channelOf);
        }
        get departures() {
            return departuresOf(this.mine || [], this.agents, this.timeZone);
        }
        get refusedText() {
            const { problem } = this.refused;
            if (problem.contacts) {
                return fill(labels.BoardChooseContact, placeOf(this.refused, this.agents));
            }
            const { current, retryAfterMs } = problem;
            if (!current) {
                return problemText(problem);
            }
            const state = stateWord({ state: current.state, joinedAt: true });
            const text = fill(labels.OnAnotherCallNamed, placeOf(current, this.agents), state);
            return retryAfterMs ? `${text} ${fill(labels.TryAgainIn, Math.ceil(retryAfterMs / 1000))}` : text;
        }
        get moveLabel() {
            return fill(labels.BoardMove, placeOf(this.refused, this.agents));
        }
        get canMove() {
            return !this.refused.problem.contacts && this.disconnectsHere;
        }
        get refusedContacts() {
            return (this.refused.problem.contacts || []).map((one) => ({
                contactId: one.contactId,
                label: placeOf(one, this.agents)
            }));
        }
        receiverText(problem) {
            return fill(labels.CannotReceive, problemText(problem));
        }
        legText(detail) {
            return fill(labels.LegNotEnded, detail);
        }
    };
