/**
 * Leg control over amazon-connect-streams (checked against its source, 2.28.2).
 *
 * In that library `contact.getAgentConnection()` is the first connection of type `agent` or `monitoring`, whoever's it is: the own
 * one only where no other may be meant (see `isTheOnlyOwn`). A connection's `destroy` asks the CCP for `destroyConnection` of that
 * one connection; `contact.clear()` takes an ended contact off the list;
 * `contact.updateMonitorParticipantState('SILENT_MONITOR' | 'BARGE')` changes the own mode.
 */
import { SeenLegs } from './seenLegs';

const AGENT_SIDE = ['agent', 'monitoring'];
const MONITORING_STATES = ['silent_monitor', 'barge'];
const OVER = ['ended', 'missed', 'error', 'rejected'];
/** How long the CCP may take to answer one call. */
const ANSWER_MS = 10000;

/**
 * @param {object} connect the namespace of amazon-connect-streams, initialised (connect.core.initCCP)
 */
export function streamsBackend(connect, { answerMs = ANSWER_MS } = {}) {
    const seenLegs = new SeenLegs();

    function find(leg) {
        // Throws while the CCP has not said anything yet (nobody logged in): that is a failure, not an absence.
        const found = new connect.Agent().getContacts().find((contact) => contact.getContactId() === leg);
        return found || null;
    }

    function see(contact, leg) {
        if (!contact) {
            return { found: false, known: seenLegs.has(leg) };
        }
        const own = contact.getAgentConnection() || null;
        const monitor = isMonitor(contact, own) || (own === null && seenLegs.has(leg));
        if (monitor) {
            seenLegs.add(leg);
        }
        const others = contact
            .getConnections()
            .filter((conn) => conn.isActive() && (own === null || conn.getConnectionId() !== own.getConnectionId()))
            .filter(isParty);
        return {
            found: true,
            known: true,
            contactId: contact.getContactId(),
            monitor,
            own: own !== null && isTheOnlyOwn(contact, own),
            barged: own !== null && hasBarged(own),
            others: others.length,
            ended: OVER.includes(contact.getStatus().type) || (own !== null && !agentSide(contact).some((conn) => conn.isActive()))
        };
    }

    function call(what) {
        return new Promise((done, failed) => {
            // eslint-disable-next-line @lwc/lwc/no-async-operation
            const timer = setTimeout(() => failed(new Error('the CCP did not answer')), answerMs);
            const first = (settle) => (value) => {
                clearTimeout(timer);
                settle(value);
            };
            what({ success: first(done), failure: first(failed) });
        });
    }

    return {
        async look(leg) {
            return see(find(leg), leg);
        },

        /** Whether a leg of the supervisor's is in this CCP, ended or not; false while nobody is logged in. */
        monitors() {
            try {
                const legs = new connect.Agent()
                    .getContacts()
                    .filter((contact) => isMonitor(contact, contact.getAgentConnection() || null));
                // One that is ended elsewhere, before any directive, is known to have been here.
                legs.forEach((contact) => seenLegs.add(contact.getContactId()));
                return legs.length > 0;
            } catch {
                return false;
            }
        },

        /** Ends the supervisor's own connection of their own MONITOR contact. `check` is asked in the same turn. */
        async end(leg, check) {
            const contact = find(leg);
            const seen = see(contact, leg);
            if (!seen.found || seen.ended) {
                return 'gone';
            }
            check(seen);
            await call((callbacks) => contact.getAgentConnection().destroy(callbacks));
            return 'ended';
        },

        async changeMode(leg, mode, check) {
            const contact = find(leg);
            const seen = see(contact, leg);
            if (!seen.found || seen.ended) {
                return 'gone';
            }
            check(seen);
            await call((callbacks) => contact.updateMonitorParticipantState(mode, callbacks));
            return 'changed';
        },

        /** Clears the leg once it has ended, if the CCP still shows it. */
        async clear(leg) {
            const contact = find(leg);
            const seen = see(contact, leg);
            if (seen.found && seen.monitor && OVER.includes(contact.getStatus().type)) {
                await call((callbacks) => contact.clear(callbacks));
            }
        }
    };
}

/** InitiationMethod says it where the CCP tells it; where it does not, the own connection is of type monitoring. */
function isMonitor(contact, own) {
    const method = contact.getInitiationMethod();
    if (typeof method === 'string' && method !== '') {
        return method.toLowerCase() === 'monitor';
    }
    return own !== null && own.getType() === 'monitoring';
}

function agentSide(contact) {
    return contact.getConnections().filter((conn) => AGENT_SIDE.includes(conn.getType()));
}

/**
 * Whether the first connection of the agents' side is surely the own one: it is the only one, or the only one on the contact that
 * monitors. Where another monitors too, nothing in a connection tells whose it is, and to guess might end another supervisor's.
 */
function isTheOnlyOwn(contact, own) {
    const isOwn = (conn) => conn.getConnectionId() === own.getConnectionId();
    const monitoring = contact.getConnections().filter((conn) => conn.isActive() && monitors(conn));
    if (monitoring.length > 0) {
        return monitoring.length === 1 && isOwn(monitoring[0]);
    }
    return agentSide(contact).length === 1;
}

function monitors(conn) {
    return conn.getType() === 'monitoring' || monitoringState(conn) !== null;
}

function monitoringState(own) {
    const status = typeof own.getMonitorStatus === 'function' ? own.getMonitorStatus() : null;
    const word = String(status || own.getStatus().type).toLowerCase();
    return MONITORING_STATES.includes(word) ? word : null;
}

/** Whether the own connection speaks. Where the CCP tells no state, one that may barge in is taken to have done so. */
function hasBarged(own) {
    const state = monitoringState(own);
    return state === 'barge' || (state === null && mayBarge(own));
}

function mayBarge(own) {
    const capabilities = typeof own.getMonitorCapabilities === 'function' ? own.getMonitorCapabilities() : null;
    // Not told: nobody knows, so it may be.
    return !Array.isArray(capabilities) || capabilities.some((word) => String(word).toLowerCase() === 'barge');
}

/** Whether another connection is of somebody who talks: another supervisor who only monitors is not. */
function isParty(conn) {
    const state = monitoringState(conn);
    return state === 'barge' || (state === null && conn.getType() !== 'monitoring');
}
