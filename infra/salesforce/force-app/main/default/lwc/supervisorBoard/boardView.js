/**
 * Turns the board's data into rows and sentences. Pure functions, except that RowCache keeps the row objects of the last refresh.
 */
import { fill, labels } from 'c/labels';
import { afterwards, agoOf, isActive, leavingOf, mayAskAgain, minuteOf, modeWord, stateWord } from 'c/supervision';

const CHANNELS = { VOICE: labels.ChannelVoice, CHAT: labels.ChannelChat, TASK: labels.ChannelTask, EMAIL: labels.ChannelEmail };
/** The states in which a contact of Connect is live for its agent. Others are over, or not answered yet. */
const LIVE = ['CONNECTED', 'CONNECTED_ONHOLD'];
const LEAVING = 'LEAVING';
/** How many departures are shown. */
const DEPARTURES = 5;

export const channelOf = (channel) => CHANNELS[channel] || channel;
const nameOf = (agent) => agent.username || agent.agentUserId || labels.BoardAgentUnknown;
/** An agent whom only Salesforce knows has no Connect user id. */
const keyOf = (agent) => agent.agentUserId || (agent.contacts[0] ? `contact ${agent.contacts[0].contactId}` : `name ${agent.username}`);

/** The agents whom the search and the filters leave, with those of their contacts that match. */
export function filtered(agents, { search, queue, channel, onlyContacts }) {
    const words = String(search || '').trim().toLowerCase();
    return agents
        .map((agent) => {
            const contacts = (agent.contacts || []).filter(
                (contact) => (!queue || contact.queue === queue) && (!channel || contact.channel === channel)
            );
            return { ...agent, contacts };
        })
        .filter((agent) => {
            if ((queue || channel || onlyContacts) && agent.contacts.length === 0) {
                return false;
            }
            const text = [nameOf(agent), agent.status, ...agent.contacts.map((contact) => contact.queue)].join(' ').toLowerCase();
            return words === '' || text.includes(words);
        });
}

/** The choices of a filter: every value that occurs, sorted, after "all". */
export function choicesOf(agents, member, all, wordOf = (value) => value) {
    const values = new Set(agents.flatMap((agent) => (agent.contacts || []).map((contact) => contact[member])).filter(Boolean));
    return [{ label: all, value: '' }, ...[...values].sort().map((value) => ({ label: wordOf(value), value }))];
}

/** The rows in order: those with an own supervision first, then the others by name; each object is kept while its content is the same. */
export class RowCache {
    rows = new Map();

    rowsOf(agents, view) {
        const before = this.rows;
        this.rows = new Map();
        const rows = agents.map((agent) => {
            const row = rowOf(agent, view);
            const text = JSON.stringify(row);
            const old = before.get(row.key);
            const kept = old && old.text === text ? old : { text, row };
            this.rows.set(row.key, kept);
            return kept.row;
        });
        return rows.sort((one, other) => Number(other.isMine) - Number(one.isMine) || one.name.localeCompare(other.name));
    }
}

/**
 * One row. view: own (active own supervisions by contact id), now (ms), zone, canStart, canDisconnect, asking (a start is in flight),
 * queued (supervisions whose disconnect has no answer), serviceNow (ms, for directives).
 */
function rowOf(agent, view) {
    const name = nameOf(agent);
    const contacts = agent.contacts.map((contact) => contactOf(contact, name, agent, view));
    const since = agent.statusSince ? fill(labels.BoardSince, minuteOf(agent.statusSince, view.zone)) : '';
    return {
        key: keyOf(agent),
        name,
        isYou: agent.isYou === true,
        isIdle: contacts.length === 0,
        isMine: contacts.some(({ mine }) => Boolean(mine)),
        className: contacts.some(({ mine }) => Boolean(mine)) ? 'row row_mine' : 'row',
        status: [agent.status, since].filter(Boolean).join(' '),
        contacts
    };
}

function contactOf(contact, name, agent, view) {
    const own = view.own.get(contact.contactId);
    const listed = (contact.supervisions || []).find((one) => one.isYours && one.supervisionId);
    // The own list is newer than the board, which is as old as the last polling round.
    const mine = own ? own.id : view.ownKnown ? null : (listed && listed.supervisionId) || null;
    const what = contact.queue ? fill(labels.BoardContact, channelOf(contact.channel), contact.queue) : channelOf(contact.channel);
    const held = contact.state === 'CONNECTED_ONHOLD' ? ` (${labels.OnHold})` : '';
    const live = LIVE.includes(contact.state);
    return {
        contactId: contact.contactId,
        what,
        since: `${agoOf(contact.connectedAt, view.now)}${held}`,
        chips: chipsOf(contact, own, view),
        mine,
        canListen: view.canStart && live && !mine && agent.isYou !== true,
        listenLabel: fill(labels.ListenTo, fill(labels.BoardContactOf, what, name)),
        listenDisabled: view.asking ? 'true' : 'false',
        canLeave: Boolean(mine) && view.canDisconnect,
        leaveLabel: fill(labels.DisconnectFrom, fill(labels.BoardContactOf, what, name)),
        leaveDisabled: Boolean(mine) && leaveDisabled(own || { id: mine, state: listed.state }, view) ? 'true' : 'false',
        softphone: mine && !view.canDisconnect ? labels.LeaveInSoftphone : null
    };
}

/** Whether Disconnect would do nothing now: it has been sent, and the directive is open. */
export function leaveDisabled(own, view) {
    return view.queued.includes(own.id) || (own.state === LEAVING && !mayAskAgain(own, view.serviceNow));
}

function chipsOf(contact, own, view) {
    const others = (contact.supervisions || []).filter((one) => !one.isYours);
    const yours = (contact.supervisions || []).filter((one) => one.isYours);
    const mineChip = (key, text) => ({ key, className: 'chip chip_mine', text: fill(labels.BoardMine, text) });
    const mine = own
        ? [mineChip('mine', doing(own, Boolean(own.joinedAt)))]
        : (view.ownKnown ? [] : yours).map((one, i) => mineChip(`mine ${i}`, doing(one, true)));
    const chips = others.map((one, i) => ({
        key: one.supervisionId || `other ${i}`,
        className: 'chip',
        text: fill(labels.BoardOther, one.username || one.connectUserId || labels.ASupervisor, doing(one, true))
    }));
    return [...mine, ...chips];
}

/** What a supervisor does on a contact: the mode while they are on it, otherwise the state. The board does not say when they joined. */
function doing({ state, mode, overdue }, joined) {
    return state === 'MONITORING' && joined ? modeWord(mode) : stateWord({ state, joinedAt: joined, overdue });
}

/** A contact in words: "Call, Sales of bo", as far as the board knows it. */
export function placeOf({ contactId, channel, agentUsername, queue }, agents) {
    for (const agent of agents) {
        const contact = (agent.contacts || []).find((one) => one.contactId === contactId);
        if (contact) {
            const what = contact.queue ? fill(labels.BoardContact, channelOf(contact.channel), contact.queue) : channelOf(contact.channel);
            return fill(labels.BoardContactOf, what, nameOf(agent));
        }
    }
    const what = queue ? fill(labels.BoardContact, channelOf(channel), queue) : channelOf(channel) || '';
    return agentUsername ? fill(labels.BoardContactOf, what, agentUsername) : [what, contactId].filter(Boolean).join(' ');
}

/**
 * The sentence that stays in view: on which contact the supervisor is, or from which to which they are moving. moving: a start in
 * flight, as {from, to} in words, or null.
 */
export function ownSentence(mine, moving, agents) {
    const active = mine.filter(isActive);
    const waiting = active.find((s) => s.waitsFor);
    const leaving = active.find((s) => s.state === LEAVING || (waiting && s.id === waiting.waitsFor));
    if (waiting) {
        const from = leaving || mine.find((s) => s.id === waiting.waitsFor);
        return fill(labels.BoardMoving, from ? placeOf(from, agents) : labels.ChannelVoice, placeOf(waiting, agents));
    }
    if (moving && moving.from) {
        return fill(labels.BoardMoving, moving.from, moving.to);
    }
    const joining = active.find((s) => s.state === 'REQUESTED' || s.state === 'JOINING');
    if (leaving && joining) {
        return fill(labels.BoardMoving, placeOf(leaving, agents), placeOf(joining, agents));
    }
    if (moving || joining) {
        return fill(labels.BoardOwnJoining, moving ? moving.to : placeOf(joining, agents));
    }
    if (leaving) {
        return fill(labels.BoardOwnLeaving, placeOf(leaving, agents));
    }
    return active.length > 0 ? fill(labels.BoardOwn, active.map((s) => placeOf(s, agents)).join('; ')) : labels.BoardOwnNone;
}

/** The supervisor's last departures, newest first. */
export function departuresOf(mine, agents, zone) {
    return mine
        .filter((s) => s.state === 'LEFT' && s.departure)
        .slice(0, DEPARTURES)
        .map((s) => ({
            id: s.id,
            iso: s.departure.disconnectedAt,
            when: leavingOf(s.departure, zone),
            what: fill(labels.BoardDepartureOf, placeOf(s, agents), afterwards(s.departure))
        }));
}
