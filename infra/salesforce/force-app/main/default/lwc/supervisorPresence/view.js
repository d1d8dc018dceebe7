/**
 * What the component shows, from what the service says; pure. Members that are null may be missing: Apex leaves them
 * out. Accepted, confirmed by the vendor, and recorded in Salesforce are three different things, and are shown as three.
 */

const ACTIVE = ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'];
const MODE_WORDS = { SILENT: 'Listening', BARGE: 'Speaking' };
const STATUS_WORDS = { done: 'done', waiting: 'waiting', overdue: 'overdue', problem: 'needs a person', none: 'not asked for' };

/** Whether a supervision still goes on. */
export function isActive(s) {
    return Boolean(s) && ACTIVE.includes(s.state);
}

/**
 * Which supervision is the supervisor's own: the active one that Apex names; else the one that Connect's user id shows, since Apex
 * knows people by their Salesforce user and a leg begun elsewhere has none; else the one that was, now that it is over.
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
 * Whether a leave that was accepted may be asked for again: the browser did not do it, nobody did in time, or somebody says they
 * did and nothing shows it. The service gives out another directive then; while one is open and good it would not, so neither is
 * the button offered.
 */
export function mayAskAgain(s, now) {
    const { status, expiresAt } = s.nextAction || {};
    if (status === 'OPEN') {
        return Date.parse(expiresAt) <= now;
    }
    return status === 'REFUSED' || status === 'FAILED' || ((status === 'DONE' || status === 'ALREADY_GONE') && s.overdue);
}

/** Whether they are offered to change how they are on the call. Of an observed leg nobody knows what was granted: the service decides. */
export function offersModes(s) {
    return Boolean(s) && s.state === 'MONITORING' && (!s.allowedModes || s.allowedModes.includes('BARGE'));
}

/** Whether a change of mode is accepted and not confirmed. */
export function modeUnderWay(s) {
    return Boolean(s.modeChange) && !s.modeChange.confirmedAt && s.modeChange.mode !== s.mode;
}

/** Whether something is on its way, so that it is worth looking again soon. */
export function inMotion(s) {
    if (s.state === 'REQUESTED' || s.state === 'JOINING' || s.state === 'LEAVING') {
        return true;
    }
    const record = s.salesforceRecord;
    return Boolean(record) && record.state === 'PENDING';
}

/** A moment on the supervisor's own clock face, to the millisecond. */
export function timeOf(iso, zone) {
    const at = new Date(iso);
    if (!iso || Number.isNaN(at.getTime())) {
        return '';
    }
    const format = { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false };
    return new Intl.DateTimeFormat('en-GB', { ...format, timeZone: zone }).format(at);
}

/** When somebody left, and how surely. */
export function leavingOf(departure, zone) {
    if (!departure) {
        return '';
    }
    const { grade } = departure.calibration;
    if (!Number.isFinite(departure.uncertaintyMs)) {
        return `${timeOf(departure.latest, zone)} at the latest, how much earlier is not known (${grade})`;
    }
    return `${timeOf(departure.disconnectedAt, zone)} ± ${departure.uncertaintyMs} ms (${grade})`;
}

/** Who it is, as far as anybody knows. */
export function nameOf(s) {
    return s.supervisor.username || s.supervisor.connectUserId || 'A supervisor';
}

function vendorOf(s) {
    return s.vendor === 'amazon-connect' ? 'Amazon Connect' : s.vendor;
}

/** The three states of what was asked for last: the leave if there is one, else the listening. */
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
        detail: asked ? timeOf(s.requestedAt, zone) : 'begun outside Sidedoor'
    };
}

function confirmedListenStep(s, zone) {
    const label = `Confirmed by ${vendorOf(s)}`;
    if (s.joinedAt) {
        const sure = Number.isFinite(s.joinedUncertaintyMs) ? ` ± ${s.joinedUncertaintyMs} ms` : '';
        return { key: 'confirmed', label, status: 'done', detail: `${timeOf(s.joinedAt, zone)}${sure}` };
    }
    if (s.state === 'FAILED') {
        return { key: 'confirmed', label, status: 'problem', detail: s.failure ? s.failure.detail : 'it never came to be' };
    }
    return { key: 'confirmed', label, status: 'waiting', detail: 'no evidence yet that you are connected' };
}

function acceptedLeaveStep(s, zone) {
    const asked = Boolean(s.disconnectRequestedAt);
    return {
        key: 'accepted',
        label: 'Accepted by Sidedoor',
        status: asked ? 'done' : 'none',
        detail: asked ? timeOf(s.disconnectRequestedAt, zone) : 'nobody asked Sidedoor for this leave'
    };
}

function confirmedLeaveStep(s, zone) {
    const label = `Confirmed by ${vendorOf(s)}`;
    if (s.departure) {
        return { key: 'confirmed', label, status: 'done', detail: leavingOf(s.departure, zone) };
    }
    if (s.overdue) {
        const what = s.nextAction ? s.nextAction.instructions : '';
        return { key: 'confirmed', label, status: 'overdue', detail: `no evidence of the drop. ${what}`.trim() };
    }
    const attached = s.nextAction && s.nextAction.controllerAttached === false;
    return {
        key: 'confirmed',
        label,
        status: 'waiting',
        detail: attached ? s.nextAction.instructions : 'no evidence of the drop yet'
    };
}

function recordStep(s, zone) {
    const label = 'Recorded in Salesforce';
    const record = s.salesforceRecord;
    if (!record) {
        return { key: 'recorded', label, status: 'waiting', detail: 'nothing to record yet' };
    }
    if (record.state === 'FAILED') {
        return { key: 'recorded', label, status: 'problem', detail: record.lastError || 'Salesforce refused the row' };
    }
    // The row of the joining says nothing of the leaving: only the newest version counts.
    const newest = record.state === 'WRITTEN' && record.writtenVersion === record.version;
    if (newest && s.state !== 'LEAVING') {
        return { key: 'recorded', label, status: 'done', detail: timeOf(record.writtenAt, zone) };
    }
    return { key: 'recorded', label, status: 'waiting', detail: record.lastError || 'on its way' };
}

/** One line of the list of everybody on the contact. */
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
            return s.joinedAt ? 'On the call' : 'Joining, leg given';
        case 'LEAVING':
            return s.overdue ? 'Leave overdue' : 'Leaving';
        case 'LEFT':
            return 'Left';
        default:
            return 'Did not come to be';
    }
}

/** One sentence for the eyes and for a screen reader: how it stands with the supervisor's own presence. */
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
                return 'You have a line to this call; that you are connected is not confirmed yet.';
            }
            return s.mode === 'BARGE' ? 'You are on this call, and can be heard.' : 'You are listening to this call. Nobody hears you.';
        case 'LEAVING':
            return s.overdue
                ? 'Your leave is overdue: it was accepted, and nothing shows that you left.'
                : 'Your disconnect is accepted. That you left is not confirmed yet.';
        case 'LEFT':
            return `You left at ${leavingOf(s.departure, zone)}. ${afterwards(s.departure)}`;
        default:
            return `You did not get onto this call${s.failure ? `: ${s.failure.detail}` : ''}.`;
    }
}

function afterwards(departure) {
    if (departure.customerCallContinued === true) {
        return "The customer's call goes on.";
    }
    if (departure.customerCallContinued === false) {
        return "The customer's call is over.";
    }
    return "Whether the customer's call goes on is not known yet.";
}
