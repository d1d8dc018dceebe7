/**
 * The notices of the component: problems with their code, the age of what is shown, requests that are not sent yet, and why no call
 * is shown. Pure functions.
 */
import { fill, labels } from 'c/labels';
import { timeOf } from './times';

/** The text of a problem, with the code under which the documentation explains it. */
export function problemText({ code, message }) {
    return code && code !== message ? `${message} (${code})` : message;
}

/** Whether a start was refused because of the supervisor's own supervision. The service names it, or it is of an older version. */
export function isBusy(problem) {
    return Boolean(problem.current) || problem.code === 'supervisor_conflict';
}

/** Whether a leave was refused, by the service or by this browser, because the customer's call may end with it. */
export function isRisk(code) {
    return code === 'barge_safety_conflict' || code === 'agent_gone';
}

/** The text of a problem for a request that may or may not have arrived and is not retried. */
export function unansweredText(what, problem) {
    const sentence = fill(labels.Unanswered, what);
    return problem.code ? `${sentence} ${problemText(problem)}` : sentence;
}

/** The age of what is shown. "No connection" is left out if the last error has a code, because then something did answer. */
export function staleNoticeOf({ stale, failed, loadedAt, zone }) {
    if (!stale) {
        return null;
    }
    const since = loadedAt ? fill(labels.LastUpdated, timeOf(loadedAt, zone)) : labels.NothingLoaded;
    return failed ? since : fill(labels.NoConnection, since);
}

/** Which disconnect has no answer yet. */
export function queuedNoticeOf({ stale, unsent, own, mine }) {
    if ((!stale && !unsent) || (!own && !mine)) {
        return null;
    }
    const what = own ? labels.WhatDisconnect : labels.WhatLeaveOther;
    return fill(unsent && unsent.code ? labels.NotAcceptedYet : labels.NotSentYet, what);
}

const AGENT_NOTICES = {
    NONE: labels.AgentNone,
    AMBIGUOUS: labels.AgentAmbiguous,
    NO_VOICE_CALL: labels.AgentNoVoiceCall,
    NOT_READABLE: labels.AgentNotReadable
};

/** Why no call of the agent is shown, or that the call shown is no longer theirs. Null while they are on a call. */
export function agentNoticeOf(status) {
    return status === null || status === 'FOUND' ? null : AGENT_NOTICES[status] || AGENT_NOTICES.NONE;
}
