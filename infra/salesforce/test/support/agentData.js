/**
 * The agent data that a CCP sends to Streams (`agent::update`), in the shape that its agentDataProvider reads: a supervisor with legs
 * and, to test refusals, with customers' own contacts. Used in jsdom and by the simulated CCP page.
 */
(function define(root) {
    const at = () => new Date();

    function connection({ connectionId, type, state = 'connected', initial = false, monitorStatus }) {
        return {
            connectionId,
            type,
            initial,
            state: { type: state, timestamp: at() },
            endpoint: { type: 'agent', endpointARN: null, name: connectionId },
            monitorCapabilities: type === 'monitoring' || monitorStatus ? ['SILENT_MONITOR', 'BARGE'] : undefined,
            monitorStatus
        };
    }

    /** A supervisor's MONITOR contact: customer, agent, and the supervisor's own connection. */
    function leg({ contactId, mode = 'SILENT_MONITOR', state = 'connected', ownType = 'monitoring', agentThere = true }) {
        const gone = state !== 'connected';
        const with_ = (there) => (gone || !there ? 'disconnected' : 'connected');
        return {
            contactId,
            initialContactId: null,
            type: 'voice',
            initiationMethod: 'monitor',
            state: { type: state, timestamp: at() },
            queue: null,
            attributes: {},
            contactFeatures: {},
            connections: [
                connection({ connectionId: `${contactId}-customer`, type: 'inbound', initial: true, state: with_(true) }),
                connection({ connectionId: `${contactId}-agent`, type: 'outbound', state: with_(agentThere) }),
                connection({
                    connectionId: `${contactId}-self`,
                    type: ownType,
                    state: gone ? 'disconnected' : 'connected',
                    monitorStatus: mode
                })
            ]
        };
    }

    /** A customer's contact that this user handles as an agent. */
    function customers({ contactId, initiationMethod = 'inbound', state = 'connected' }) {
        return {
            contactId,
            type: 'voice',
            initiationMethod,
            state: { type: state, timestamp: at() },
            queue: null,
            attributes: {},
            contactFeatures: {},
            connections: [
                connection({ connectionId: `${contactId}-customer`, type: 'inbound', initial: true }),
                connection({ connectionId: `${contactId}-self`, type: 'agent' })
            ]
        };
    }

    function agentData(contacts, username = 'supervisor-1') {
        const state = { type: 'routable', name: 'Available', agentStateARN: 'arn:available', startTimestamp: at() };
        return {
            configuration: {
                username,
                name: username,
                permissions: [],
                agentStates: [state],
                softphoneEnabled: true,
                extension: null,
                dialableCountries: [],
                routingProfile: {
                    name: 'Supervisors',
                    routingProfileId:
                        'arn:aws:connect:eu-west-2:111122223333:instance/11111111-2222-4333-8444-555555555555/routing-profile/1',
                    queues: [],
                    defaultOutboundQueue: null,
                    channelConcurrencyMap: { VOICE: 1, CHAT: 0 }
                }
            },
            snapshot: { state, nextState: null, agentAvailabilityState: { state: 'Available' }, contacts, snapshotTimestamp: at() }
        };
    }

    const all = { agentData, leg, customers, connection };
    if (typeof module !== 'undefined') {
        module.exports = all;
    } else {
        root.agentData = all;
    }
})(typeof window === 'undefined' ? globalThis : window);
