/**
 * What the component says beside how it stands: problems with their code, how old what it shows is, what is not sent yet, and why
 * no call is shown. Pure.
 */
import { timeOf } from './view';

/** A problem for the person and for whoever helps them: its sentence, and the code under which the documentation has it. */
export function problemText({ code, message }) {
    return code && code !== message ? `${message} (${code})` : message;
}

/** The same where nobody knows whether the request arrived, which is not sent again. */
export function unansweredText(what, problem) {
    const sentence = `Nobody knows whether ${what} arrived. It will not be sent again by itself.`;
    return problem.code ? `${sentence} ${problemText(problem)}` : sentence;
}

/** How old what is shown is. Something that has a code is no lack of a connection. */
export function staleNoticeOf({ stale, failed, loadedAt, zone }) {
    if (!stale) {
        return null;
    }
    const since = loadedAt ? `This is how it stood at ${timeOf(loadedAt, zone)}.` : 'Nothing is known yet.';
    return failed ? since : `No connection. ${since}`;
}

/** Which disconnect is not answered yet. */
export function queuedNoticeOf({ stale, unsent, own, mine }) {
    if ((!stale && !unsent) || (!own && !mine)) {
        return null;
    }
    const what = own ? 'Your disconnect' : 'Your leave of the other call';
    return unsent && unsent.code
        ? `${what} has not been accepted yet. It is asked for again until it is.`
        : `${what} has not been sent yet. It is sent as soon as there is a connection.`;
}

const AGENT_NOTICES = {
    NONE: 'This agent has no call in progress that you may see.',
    AMBIGUOUS: 'Salesforce has several calls in progress for this agent. Open the page of the one you mean.',
    NO_VOICE_CALL: "This org has no Voice Call object, so an agent's call cannot be found here. Open the page of the call's own record.",
    NOT_READABLE: "You may not read voice calls, so this agent's call cannot be found. Ask your administrator."
};

/** Why no call of the agent's is shown, or that the shown one is no longer theirs; null while there is one. */
export function agentNoticeOf(status) {
    return status === null || status === 'FOUND' ? null : AGENT_NOTICES[status] || AGENT_NOTICES.NONE;
}
