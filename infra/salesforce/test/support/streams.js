/**
 * The real amazon-connect-streams library in jsdom, with a fake CCP that keeps a list of the calls. This tests what our code requests
 * from the library and what the library then requests from the CCP.
 */
const { agentData, leg, customers, connection } = require('./agentData');

require('amazon-connect-streams');

// The library logs every step; the tests need only its errors.
global.connect.getLog().setEchoLevel(global.connect.LogLevel.ERROR);

/** Streams with a logged-in agent who has these contacts. */
function streamsWith(contacts, { answers = {} } = {}) {
    const { connect } = global;
    const calls = [];
    const bus = new connect.EventBus({ logEvents: false });
    connect.core.eventBus = bus;
    connect.core.agentDataProvider = new connect.core.AgentDataProvider(bus);
    connect.core.mediaFactory = { get: () => Promise.resolve(null) };
    connect.core.upstream = { sendUpstream() {} };
    const now = { contacts };
    const update = (next = now.contacts) => {
        now.contacts = next;
        bus.trigger(connect.AgentEvents.UPDATE, agentData(next));
    };
    connect.core.client = {
        call(method, params, callbacks) {
            calls.push({ method, params });
            const answer = answers[method];
            if (answer === 'silence') {
                return;
            }
            if (answer && answer.failure) {
                callbacks.failure(answer.failure);
                return;
            }
            applyCall(method, params, now.contacts);
            callbacks.success({});
            setTimeout(() => update(), 5);
        }
    };
    update();
    const withoutLogs = () => calls.filter((call) => call.method !== 'sendClientLogs');
    return { connect, update, calls: withoutLogs };
}

/** Changes the contacts as a CCP would. */
function applyCall(method, { contactId, connectionId, targetMonitorMode }, contacts) {
    const contact = contacts.find((c) => c.contactId === contactId);
    if (method === 'destroyConnection') {
        const conn = contact.connections.find((c) => c.connectionId === connectionId);
        conn.state = { type: 'disconnected', timestamp: new Date() };
        contact.state = { type: 'ended', timestamp: new Date() };
    } else if (method === 'clearContact') {
        contacts.splice(contacts.indexOf(contact), 1);
    } else if (method === 'updateMonitorParticipantState') {
        contact.connections.find((c) => c.monitorStatus).monitorStatus = targetMonitorMode;
    }
}

module.exports = { streamsWith, leg, customers, connection };
