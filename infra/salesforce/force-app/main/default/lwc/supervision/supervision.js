/**
 * What the components that show supervisions share: the words for the service's data, times, notices, disconnects that have no answer
 * yet, and whether the component is visible.
 */
export {
    afterwards, callIsOver, inMotion, isActive, lineOf, mayAskAgain, modeChangePending, modeWord, nameOf, offersModes, ownOf, stateWord,
    stepsOf, summaryOf
} from './view';
export { agoOf, leavingOf, minuteOf, timeOf } from './times';
export { agentNoticeOf, isBusy, isRisk, problemText, queuedNoticeOf, staleNoticeOf, unansweredText } from './notices';
export { newKey, PendingLeave } from './pendingLeave';
export { storage, TIMERS } from './page';
export { watchVisibility } from './visibility';
