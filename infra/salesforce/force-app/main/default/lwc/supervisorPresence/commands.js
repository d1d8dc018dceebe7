/**
 * What the user can do: listen, switch, leave, and change the mode.
 */
import listenTo from '@salesforce/apex/SidedoorController.listen';
import changeModeOf from '@salesforce/apex/SidedoorController.changeMode';
import disconnectAtRisk from '@salesforce/apex/SidedoorController.disconnectAtRisk';
import { problemOf } from 'c/directives';
import { labels } from 'c/labels';
import { isBusy, isRisk, modeChangePending, newKey, problemText, unansweredText } from 'c/supervision';
import { isVoiceCall } from './record';

export const WithCommands = (Base) =>
    class extends Base {
        listen(event) {
            event.preventDefault();
            if (this.listenDisabled === 'true') {
                if (this.isOffline) {
                    this.error = labels.OfflineListen;
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
            this.busyElsewhere = null;
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
                this.applySupervision(supervision);
            } catch (e) {
                const problem = problemOf(e);
                this.busyElsewhere = isBusy(problem) ? problem : null;
                if (problem.unanswered) {
                    // The next refresh shows whether it arrived. It is not retried, because joining late is worse than not joining.
                    this.error = unansweredText(labels.WhatListen, problem);
                } else if (!this.busyElsewhere) {
                    this.error = problemText(problem);
                }
            }
            this.asking = false;
            this.refresh();
        }

        voiceCallOf() {
            const found = this.agent && this.agentCall ? this.agentCall.voiceCallId : null;
            return this.voiceCallId || found || (isVoiceCall(this.objectApiName) && !this.agent && this.record);
        }

        leaveOther() {
            this.busyElsewhere = null;
            this.error = null;
            this.pending.requestMine();
            this.pendingChanged();
        }

        disconnect(event) {
            event.preventDefault();
            if (this.disconnectDisabled === 'true' || !this.own) {
                return;
            }
            this.error = null;
            this.risk = null;
            this.pending.request(this.own.id);
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
                this.applySupervision(supervision);
                // The answer holds a directive for the browser that has the leg; polling shows whether that is this page.
                this.receiver.pull();
            }
            if (problem && isRisk(problem.code)) {
                this.risk = problem.code;
            } else if (problem) {
                this.error = problemText(problem);
            }
            if (unsent) {
                this.unsent = unsent;
                this.markStale(unsent);
            }
            this.refresh();
        }

        /** An operator accepts that the customer's call may end. It is sent once and never retried, because the risk may have changed. */
        async leaveAtRisk({ detail }) {
            const { own } = this;
            this.error = null;
            try {
                this.applySupervision(await disconnectAtRisk({ supervisionId: own.id, reason: detail.reason, requestKey: newKey('risk') }));
                this.risk = null;
                this.receiver.pull();
            } catch (e) {
                const problem = problemOf(e);
                this.error = problem.unanswered ? unansweredText(labels.WhatDisconnect, problem) : problemText(problem);
            }
            this.refresh();
        }

        changeMaySpeak(event) {
            this.maySpeak = event.target.checked;
        }

        async changeMode(event) {
            const mode = event.currentTarget.value;
            if (this.modeDisabled === 'true' || (mode === this.own.mode && !modeChangePending(this.own))) {
                return;
            }
            this.error = null;
            this.modeAsked = mode;
            try {
                this.applySupervision(await changeModeOf({ supervisionId: this.own.id, mode, requestKey: newKey('mode') }));
                this.receiver.pull();
            } catch (e) {
                const problem = problemOf(e);
                this.modeAsked = null;
                this.error = problem.unanswered ? unansweredText(labels.WhatMode, problem) : problemText(problem);
            }
            this.refresh();
        }
    };
