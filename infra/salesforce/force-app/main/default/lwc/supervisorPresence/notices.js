/**
 * The notices of the component: problems with their code, the age of what is shown, requests that are not sent yet, and why no call
 * is shown. Pure functions.
 */
import { timeOf } from './view';

/** The text of a problem, with the code under which the documentation explains it. */
export function problemText({ code, message }) {
    return code && code !== message ? `${message} (${code})` : message;
}

/** The same for a request that may or may not have arrived and is not retried. */
export function unansweredText(what, problem) {
    const sentence = `It is not known whether ${what} arrived. It will not be sent again automatically.`;
    return problem.code ? `${sentence} ${problemText(problem)}` : sentence;
}

/** The age of what is shown. "No connection" is left out if the last error has a code, because then something did answer. */
export function staleNoticeOf({ stale, failed, loadedAt, zone }) {
    if (!stale) {
        return null;
    }
    const since = loadedAt ? `Last updated at ${timeOf(loadedAt, zone)}.` : 'Nothing has been loaded yet.';
    return failed ? since : `No connection. ${since}`;
}

/** Which disconnect has no answer yet. */
export function queuedNoticeOf({ stale, unsent, own, mine }) {
    if ((!stale && !unsent) || (!own && !mine)) {
        return null;
    }
    const what = own ? 'Your disconnect' : 'Your request to leave the other call';
    return unsent && unsent.code
        ? `${what} has not been accepted yet. It is retried until it is.`
        : `${what} has not been sent yet. It will be sent as soon as there is a connection.`;
}

const AGENT_NOTICES = {
    NONE: 'This agent has no call in progress that you have access to.',
    AMBIGUOUS: 'Salesforce has several calls in progress for this agent. Open the record page of the call you want.',
    NO_VOICE_CALL: "This org has no Voice Call object, so an agent's call cannot be found here. Open the page of the call's own record.",
    NOT_READABLE: "You do not have access to voice calls, so this agent's call cannot be found. Ask your administrator."
};

/** Why no call of the agent is shown, or that the call shown is no longer theirs. Null while they are on a call. */
export function agentNoticeOf(status) {
    return status === null || status === 'FOUND' ? null : AGENT_NOTICES[status] || AGENT_NOTICES.NONE;
}
