/**
 * Leg control over amazon-connect-streams (checked against its source, 2.28.2).
 *
 * In that library `contact.getAgentConnection()` returns the first connection of type `agent` or `monitoring`, which may be another
 * user's: it is treated as the supervisor's own only if no other could be meant (see `isTheOnlyOwn`). A connection's `destroy` asks
 * the CCP for `destroyConnection` of that one connection; `contact.clear()` removes an ended contact from the list;
 * `contact.updateMonitorParticipantState('SILENT_MONITOR' | 'BARGE')` changes the supervisor's own mode.
 */
import { SeenLegs } from './seenLegs';

const AGENT_SIDE = ['agent', 'monitoring'];
const MONITORING_STATES = ['silent_monitor', 'barge'];
const OVER = ['ended', 'missed', 'error', 'rejected'];
/** How long the CCP may take to answer one call. */
const ANSWER_MS = 10000;

/**
 * @param {object} connect the namespace of amazon-connect-streams, after connect.core.initCCP
 */
export function streamsBackend(connect, { answerMs = ANSWER_MS } = {}) {
    const seenLegs = new SeenLegs();

    function find(leg) {
        // Throws until a user has logged in to the CCP. That is reported as a failure, because the leg may exist.
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

    function call(request) {
        return new Promise((done, failed) => {
            // eslint-disable-next-line @lwc/lwc/no-async-operation
            const timer = setTimeout(() => failed(new Error('timeout: the CCP did not answer')), answerMs);
            const first = (settle) => (value) => {
                clearTimeout(timer);
                settle(value);
            };
            request({ success: first(done), failure: first(failed) });
        });
    }

    return {
        async look(leg) {
            return see(find(leg), leg);
        },

        /** Whether this CCP has a leg of the supervisor, connected or ended. False until a user has logged in. */
        monitors() {
            try {
                const legs = new connect.Agent()
                    .getContacts()
                    .filter((contact) => isMonitor(contact, contact.getAgentConnection() || null));
                // Remembered, so that a leg that is later ended elsewhere is known to have been here.
                legs.forEach((contact) => seenLegs.add(contact.getContactId()));
                return legs.length > 0;
            } catch {
                return false;
            }
        },

        /** Ends the supervisor's own connection of their own MONITOR contact. `check` runs in the same turn of the event loop. */
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

        /** Clears an ended leg, if the CCP still shows it. */
        async clear(leg) {
            const contact = find(leg);
            const seen = see(contact, leg);
            if (seen.found && seen.monitor && OVER.includes(contact.getStatus().type)) {
                await call((callbacks) => contact.clear(callbacks));
            }
        }
    };
}

/** Decided by the contact's initiation method, or by the type of the agent connection if the CCP does not report the method. */
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
 * Whether the agent connection is certainly the supervisor's own: it is the only one on the agents' side, or the only one on the
 * contact that monitors. If another one monitors too, a connection does not show whose it is, and a wrong guess would end another
 * supervisor's.
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

/** Whether the supervisor can be heard. Without a state from the CCP, one who is allowed to barge in is treated as barged in. */
function hasBarged(own) {
    const state = monitoringState(own);
    return state === 'barge' || (state === null && mayBarge(own));
}

function mayBarge(own) {
    const capabilities = typeof own.getMonitorCapabilities === 'function' ? own.getMonitorCapabilities() : null;
    // Without capabilities from the CCP, barging in must be assumed to be allowed.
    return !Array.isArray(capabilities) || capabilities.some((word) => String(word).toLowerCase() === 'barge');
}

/** Whether another connection can be heard. A supervisor who only monitors cannot. */
function isParty(conn) {
    const state = monitoringState(conn);
    return state === 'barge' || (state === null && conn.getType() !== 'monitoring');
}
