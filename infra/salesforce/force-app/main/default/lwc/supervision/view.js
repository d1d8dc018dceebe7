/**
 * Turns the service's data into what the component shows. Pure functions. Members that are null may be missing, because Apex leaves
 * them out. Accepted, confirmed by the vendor and written to Salesforce are three different states and are shown separately.
 */
import { fill, labels } from 'c/labels';
import { leavingOf, timeOf } from './times';

const ACTIVE = ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'];
const MODE_WORDS = { SILENT: labels.ModeWordSilent, BARGE: labels.ModeWordBarge };
const STATUS_WORDS = {
    done: labels.StepDone,
    waiting: labels.StepWaiting,
    overdue: labels.StepOverdue,
    problem: labels.StepProblem,
    none: labels.StepNone
};

/** Whether a supervision has not ended yet. */
export function isActive(s) {
    return Boolean(s) && ACTIVE.includes(s.state);
}

/**
 * Which supervision is the supervisor's own: the active one that Apex names; otherwise one with the supervisor's Connect user id,
 * because Apex compares Salesforce users and a leg that was started elsewhere has none; otherwise the previous one, which has ended.
 */
export function ownOf({ supervisions, mySupervisionId }, connectUserId, before) {
    if (mySupervisionId) {
        return mySupervisionId;
    }
    const theirs = connectUserId ? supervisions.filter((s) => s.supervisor.connectUserId === connectUserId) : [];
    const own = theirs.find(isActive) || supervisions.find((s) => s.id === before) || theirs[0];
    return own ? own.id : null;
}

/**
 * Whether Disconnect can be pressed again after a disconnect was accepted: the browser refused or failed, the directive expired, or
 * a browser reported success while the leave is overdue. The service issues a new directive then. While a valid one is open it would
 * not, so the button stays disabled.
 */
export function mayAskAgain(s, now) {
    const { status, expiresAt } = s.nextAction || {};
    if (status === 'OPEN') {
        return Date.parse(expiresAt) <= now;
    }
    return status === 'REFUSED' || status === 'FAILED' || ((status === 'DONE' || status === 'ALREADY_GONE') && s.overdue);
}

/** Whether to offer a change of mode. For an observed leg the allowed modes are unknown, so it is offered and the service decides. */
export function offersModes(s) {
    return Boolean(s) && s.state === 'MONITORING' && (!s.allowedModes || s.allowedModes.includes('BARGE'));
}

/** Whether a change of mode has been accepted and not confirmed. */
export function modeChangePending(s) {
    return Boolean(s.modeChange) && !s.modeChange.confirmedAt && s.modeChange.mode !== s.mode;
}

/** Whether the customer's call is known to be over: it ended with or after the supervisor's own departure. */
export function callIsOver(s) {
    return Boolean(s) && !isActive(s) && Boolean(s.departure) && s.departure.customerCallContinued === false;
}

/** Whether something is in progress, so that the next refresh should follow soon. */
export function inMotion(s) {
    if (s.state === 'REQUESTED' || s.state === 'JOINING' || s.state === 'LEAVING') {
        return true;
    }
    const record = s.salesforceRecord;
    return Boolean(record) && record.state === 'PENDING';
}

/** The supervisor's name, as far as it is known. */
export function nameOf(s) {
    return s.supervisor.username || s.supervisor.connectUserId || labels.ASupervisor;
}

function vendorOf(s) {
    return s.vendor === 'amazon-connect' ? 'Amazon Connect' : s.vendor;
}

/** The three steps of the last request: of the leave if there is one, otherwise of the join. */
export function stepsOf(s, zone) {
    const leaving = s.state === 'LEAVING' || s.state === 'LEFT';
    const steps = leaving ? [acceptedLeaveStep(s, zone), confirmedLeaveStep(s, zone)] : [acceptedListenStep(s, zone), confirmedListenStep(s, zone)];
    return [...steps, recordStep(s, zone)].map((step) => ({
        ...step,
        statusWord: STATUS_WORDS[step.status],
        className: `step step_${step.status}`
    }));
}

function acceptedListenStep(s, zone) {
    const asked = Boolean(s.requestedAt);
    return {
        key: 'accepted',
        label: labels.StepAccepted,
        status: asked ? 'done' : 'none',
        detail: asked ? timeOf(s.requestedAt, zone) : labels.StartedElsewhere
    };
}

function confirmedListenStep(s, zone) {
    const label = fill(labels.StepConfirmed, vendorOf(s));
    if (s.joinedAt) {
        const at = timeOf(s.joinedAt, zone);
        const detail = Number.isFinite(s.joinedUncertaintyMs) ? fill(labels.PlusMinus, at, s.joinedUncertaintyMs) : at;
        return { key: 'confirmed', label, status: 'done', detail };
    }
    if (s.state === 'FAILED') {
        return { key: 'confirmed', label, status: 'problem', detail: s.failure ? s.failure.detail : labels.NeverConnected };
    }
    return { key: 'confirmed', label, status: 'waiting', detail: labels.NoJoinEvidence };
}

function acceptedLeaveStep(s, zone) {
    const asked = Boolean(s.disconnectRequestedAt);
    return {
        key: 'accepted',
        label: labels.StepAccepted,
        status: asked ? 'done' : 'none',
        detail: asked ? timeOf(s.disconnectRequestedAt, zone) : labels.LeftElsewhere
    };
}

function confirmedLeaveStep(s, zone) {
    const label = fill(labels.StepConfirmed, vendorOf(s));
    if (s.departure) {
        return { key: 'confirmed', label, status: 'done', detail: leavingOf(s.departure, zone) };
    }
    if (s.overdue) {
        const what = s.nextAction ? s.nextAction.instructions : '';
        return { key: 'confirmed', label, status: 'overdue', detail: fill(labels.NoLeaveEvidenceDo, what).trim() };
    }
    const attached = s.nextAction && s.nextAction.controllerAttached === false;
    return {
        key: 'confirmed',
        label,
        status: 'waiting',
        detail: attached ? s.nextAction.instructions : labels.NoLeaveEvidence
    };
}

function recordStep(s, zone) {
    const label = labels.StepWritten;
    const record = s.salesforceRecord;
    if (!record) {
        return { key: 'written', label, status: 'waiting', detail: labels.NothingToWrite };
    }
    if (record.state === 'FAILED') {
        return { key: 'written', label, status: 'problem', detail: record.lastError || labels.RecordRejected };
    }
    if (record.state === 'DISCARDED') {
        return { key: 'written', label, status: 'problem', detail: labels.RecordDiscarded };
    }
    // Only the newest version counts, because the version written after the join does not hold the departure.
    const newest = record.state === 'WRITTEN' && record.writtenVersion === record.version;
    if (newest && s.state !== 'LEAVING') {
        return { key: 'written', label, status: 'done', detail: timeOf(record.writtenAt, zone) };
    }
    return { key: 'written', label, status: 'waiting', detail: record.lastError || labels.InProgress };
}

/** A mode in words. */
export function modeWord(mode) {
    return MODE_WORDS[mode] || mode;
}

/** One line of the list of supervisors on the contact. */
export function lineOf(s, mine, zone) {
    return {
        id: s.id,
        name: nameOf(s),
        isMine: s.id === mine,
        mode: isActive(s) ? modeWord(s.mode) : labels.NoMode,
        state: stateWord(s),
        when: s.departure ? leavingOf(s.departure, zone) : timeOf(s.joinedAt || s.requestedAt, zone),
        whenIso: s.departure ? s.departure.disconnectedAt : s.joinedAt || s.requestedAt
    };
}

/** The state of a supervision in words. */
export function stateWord(s) {
    switch (s.state) {
        case 'REQUESTED':
        case 'JOINING':
            return labels.StateJoining;
        case 'MONITORING':
            return s.joinedAt ? labels.StateOnCall : labels.StateLineProvided;
        case 'LEAVING':
            return s.overdue ? labels.StateOverdue : labels.StateLeaving;
        case 'LEFT':
            return labels.StateLeft;
        default:
            return labels.StateFailed;
    }
}

/** One sentence about the supervisor's own state, shown and announced by screen readers. */
export function summaryOf(s, zone) {
    if (!s) {
        return labels.SummaryNone;
    }
    switch (s.state) {
        case 'REQUESTED':
        case 'JOINING':
            return labels.SummaryJoining;
        case 'MONITORING':
            if (!s.joinedAt) {
                return labels.SummaryLine;
            }
            return s.mode === 'BARGE' ? labels.SummarySpeaking : labels.SummaryListening;
        case 'LEAVING':
            return s.overdue ? labels.SummaryOverdue : labels.SummaryLeaving;
        case 'LEFT':
            return fill(labels.SummaryLeft, leavingOf(s.departure, zone), afterwards(s.departure));
        default:
            return s.failure ? fill(labels.SummaryFailedWhy, s.failure.detail) : labels.SummaryFailed;
    }
}

/** Whether the customer's call went on after a departure. */
export function afterwards(departure) {
    if (departure.customerCallContinued === true) {
        return labels.GoesOn;
    }
    if (departure.customerCallContinued === false) {
        return labels.IsOver;
    }
    return labels.UnknownAfter;
}
