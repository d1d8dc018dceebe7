/**
 * What the user can do on the board: listen, move from one contact to another, leave, search and filter.
 */
import listenTo from '@salesforce/apex/SidedoorController.listen';
import disconnectAtRisk from '@salesforce/apex/SidedoorController.disconnectAtRisk';
import { problemOf } from 'c/directives';
import { labels } from 'c/labels';
import { isActive, isBusy, newKey, problemText, unansweredText } from 'c/supervision';
import { placeOf } from './boardView';

export const WithBoardCommands = (Base) =>
    class extends Base {
        /** Listen was pressed in a row. A supervisor who is on another contact is asked first, unless they are leaving it already. */
        rowListen({ detail }) {
            const inTheWay = (this.mine || []).find((s) => isActive(s) && s.contactId !== detail.contactId);
            if (inTheWay && inTheWay.state !== 'LEAVING') {
                const { id, contactId, channel, state } = inTheWay;
                this.refused = { ...detail, problem: { current: { supervisionId: id, contactId, channel, state } } };
                return;
            }
            this.start(detail, inTheWay, false);
        }

        /** The supervisor chose to leave the contact that is in the way. */
        moveThere() {
            const { contactId, agentKey, problem } = this.refused;
            this.start({ contactId, agentKey }, problem.current, true);
        }

        stayThere() {
            this.refused = null;
        }

        /** One of several live contacts of an agent was chosen. */
        chooseContact({ currentTarget }) {
            const { agentKey } = this.refused;
            this.start({ contactId: currentTarget.value, agentKey }, null, false);
        }

        async start({ contactId, agentKey }, from, leaveCurrent) {
            if (this.moving) {
                return;
            }
            this.error = null;
            this.refused = null;
            if (this.isOffline) {
                this.error = labels.OfflineListen;
                return;
            }
            this.moving = { from: from ? placeOf(from, this.agents) : null, to: placeOf({ contactId }, this.agents) };
            this.arrange();
            try {
                const supervision = await listenTo({
                    contactId,
                    agentUserId: null,
                    voiceCallId: this.voiceCallIds[contactId] || null,
                    mode: 'SILENT',
                    reason: this.reason.trim() || null,
                    leaveCurrent,
                    requestKey: newKey('listen')
                });
                this.reason = '';
                this.applySupervision(supervision);
            } catch (e) {
                const problem = problemOf(e);
                if (isBusy(problem) || problem.contacts) {
                    this.refused = { contactId, agentKey, problem };
                } else {
                    // It is not retried, because joining late is worse than not joining.
                    this.error = problem.unanswered ? unansweredText(labels.WhatListen, problem) : problemText(problem);
                }
            }
            this.moving = null;
            this.arrange();
            this.refresh(true);
        }

        rowLeave({ detail }) {
            this.leave(detail.supervisionId);
        }

        ownLeave({ currentTarget }) {
            if (currentTarget.getAttribute('aria-disabled') !== 'true') {
                this.leave(currentTarget.value);
            }
        }

        leave(supervisionId) {
            this.error = null;
            this.risk = null;
            this.pending.request(supervisionId);
            this.pendingChanged();
            this.arrange();
        }

        /** An operator accepts that the customer's call may end. Sent once and never retried, because the risk may have changed. */
        async leaveAtRisk({ detail }) {
            const { supervisionId } = this.risk;
            this.error = null;
            try {
                this.applySupervision(await disconnectAtRisk({ supervisionId, reason: detail.reason, requestKey: newKey('risk') }));
                this.risk = null;
            } catch (e) {
                const problem = problemOf(e);
                this.error = problem.unanswered ? unansweredText(labels.WhatDisconnect, problem) : problemText(problem);
            }
            this.refresh();
        }

        changeSearch({ detail }) {
            this.changeFilter({ search: detail.value || '' }, !this.isComplete);
        }

        changeQueue({ detail }) {
            this.changeFilter({ queue: detail.value });
        }

        changeChannel({ detail }) {
            this.changeFilter({ channel: detail.value });
        }

        changeOnlyContacts({ target }) {
            this.changeFilter({ onlyContacts: target.checked }, true);
        }

        changeReason({ detail }) {
            this.reason = detail.value || '';
        }

        /** The change shows at once; what the service must filter is read again. */
        changeFilter(change, readAgain = false) {
            this.filter = { ...this.filter, ...change };
            this.arrange();
            if (readAgain) {
                this.refresh(true);
            }
        }
    };
