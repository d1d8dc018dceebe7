/**
 * Turns the service's data into what the component shows. Pure functions. Members that are null may be missing, because Apex leaves
 * them out. Accepted, confirmed by the vendor and written to Salesforce are three different states and are shown separately.
 */

const ACTIVE = ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'];
const MODE_WORDS = { SILENT: 'Listening', BARGE: 'Speaking' };
const STATUS_WORDS = { done: 'done', waiting: 'waiting', overdue: 'overdue', problem: 'needs attention', none: 'not requested' };

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

/** Whether something is in progress, so that the next refresh should follow soon. */
export function inMotion(s) {
    if (s.state === 'REQUESTED' || s.state === 'JOINING' || s.state === 'LEAVING') {
        return true;
    }
    const record = s.salesforceRecord;
    return Boolean(record) && record.state === 'PENDING';
}

/** A time of day in the given time zone, with milliseconds. */
export function timeOf(iso, zone) {
    const at = new Date(iso);
    if (!iso || Number.isNaN(at.getTime())) {
        return '';
    }
    const format = { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false };
    return new Intl.DateTimeFormat('en-GB', { ...format, timeZone: zone }).format(at);
}

/** The time of a departure with its uncertainty and calibration grade. */
export function leavingOf(departure, zone) {
    if (!departure) {
        return '';
    }
    const { grade } = departure.calibration;
    if (!Number.isFinite(departure.uncertaintyMs)) {
        return `${timeOf(departure.latest, zone)} at the latest; the earliest possible time is not known (${grade})`;
    }
    return `${timeOf(departure.disconnectedAt, zone)} ± ${departure.uncertaintyMs} ms (${grade})`;
}

/** The supervisor's name, as far as it is known. */
export function nameOf(s) {
    return s.supervisor.username || s.supervisor.connectUserId || 'A supervisor';
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
        label: 'Accepted by Sidedoor',
        status: asked ? 'done' : 'none',
        detail: asked ? timeOf(s.requestedAt, zone) : 'started outside Sidedoor'
    };
}

function confirmedListenStep(s, zone) {
    const label = `Confirmed by ${vendorOf(s)}`;
    if (s.joinedAt) {
        const sure = Number.isFinite(s.joinedUncertaintyMs) ? ` ± ${s.joinedUncertaintyMs} ms` : '';
        return { key: 'confirmed', label, status: 'done', detail: `${timeOf(s.joinedAt, zone)}${sure}` };
    }
    if (s.state === 'FAILED') {
        return { key: 'confirmed', label, status: 'problem', detail: s.failure ? s.failure.detail : 'the connection was never made' };
    }
    return { key: 'confirmed', label, status: 'waiting', detail: 'no evidence yet that you are connected' };
}

function acceptedLeaveStep(s, zone) {
    const asked = Boolean(s.disconnectRequestedAt);
    return {
        key: 'accepted',
        label: 'Accepted by Sidedoor',
        status: asked ? 'done' : 'none',
        detail: asked ? timeOf(s.disconnectRequestedAt, zone) : 'not requested through Sidedoor'
    };
}

function confirmedLeaveStep(s, zone) {
    const label = `Confirmed by ${vendorOf(s)}`;
    if (s.departure) {
        return { key: 'confirmed', label, status: 'done', detail: leavingOf(s.departure, zone) };
    }
    if (s.overdue) {
        const what = s.nextAction ? s.nextAction.instructions : '';
        return { key: 'confirmed', label, status: 'overdue', detail: `no evidence yet that the leg ended. ${what}`.trim() };
    }
    const attached = s.nextAction && s.nextAction.controllerAttached === false;
    return {
        key: 'confirmed',
        label,
        status: 'waiting',
        detail: attached ? s.nextAction.instructions : 'no evidence yet that the leg ended'
    };
}

function recordStep(s, zone) {
    const label = 'Written to Salesforce';
    const record = s.salesforceRecord;
    if (!record) {
        return { key: 'written', label, status: 'waiting', detail: 'nothing to write yet' };
    }
    if (record.state === 'FAILED') {
        return { key: 'written', label, status: 'problem', detail: record.lastError || 'Salesforce rejected the record' };
    }
    if (record.state === 'DISCARDED') {
        return { key: 'written', label, status: 'problem', detail: 'an operator discarded this record, so it is not written' };
    }
    // Only the newest version counts, because the version written after the join does not hold the departure.
    const newest = record.state === 'WRITTEN' && record.writtenVersion === record.version;
    if (newest && s.state !== 'LEAVING') {
        return { key: 'written', label, status: 'done', detail: timeOf(record.writtenAt, zone) };
    }
    return { key: 'written', label, status: 'waiting', detail: record.lastError || 'in progress' };
}

/** One line of the list of supervisors on the contact. */
export function lineOf(s, mine, zone) {
    return {
        id: s.id,
        name: nameOf(s),
        isMine: s.id === mine,
        mode: isActive(s) ? MODE_WORDS[s.mode] || s.mode : '—',
        state: stateWord(s),
        when: s.departure ? leavingOf(s.departure, zone) : timeOf(s.joinedAt || s.requestedAt, zone),
        whenIso: s.departure ? s.departure.disconnectedAt : s.joinedAt || s.requestedAt
    };
}

function stateWord(s) {
    switch (s.state) {
        case 'REQUESTED':
        case 'JOINING':
            return 'Joining';
        case 'MONITORING':
            return s.joinedAt ? 'On the call' : 'Joining, line provided';
        case 'LEAVING':
            return s.overdue ? 'Leave overdue' : 'Leaving';
        case 'LEFT':
            return 'Left';
        default:
            return 'Could not join';
    }
}

/** One sentence about the supervisor's own state, shown and announced by screen readers. */
export function summaryOf(s, zone) {
    if (!s) {
        return 'You are not on this call.';
    }
    switch (s.state) {
        case 'REQUESTED':
        case 'JOINING':
            return 'Your request to listen is accepted. You are not connected yet.';
        case 'MONITORING':
            if (!s.joinedAt) {
                return 'You have a line to this call. It is not confirmed yet that you are connected.';
            }
            return s.mode === 'BARGE' ? 'You are on this call, and can be heard.' : 'You are listening to this call. You cannot be heard.';
        case 'LEAVING':
            return s.overdue
                ? 'Your disconnect is overdue: it was accepted, but there is no evidence that you left.'
                : 'Your disconnect is accepted. It is not confirmed yet that you left.';
        case 'LEFT':
            return `You left at ${leavingOf(s.departure, zone)}. ${afterwards(s.departure)}`;
        default:
            return `You could not join this call${s.failure ? `: ${s.failure.detail}` : ''}.`;
    }
}

function afterwards(departure) {
    if (departure.customerCallContinued === true) {
        return "The customer's call goes on.";
    }
    if (departure.customerCallContinued === false) {
        return "The customer's call is over.";
    }
    return "It is not known yet whether the customer's call goes on.";
}
