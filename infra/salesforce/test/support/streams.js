/**
 * The real amazon-connect-streams library in jsdom, upstream of it a CCP that is only a list of calls: what is under test is
 * what our code asks of the library, and what the library then asks of the CCP.
 */
const { agentData, leg, customers, connection } = require('./agentData');

require('amazon-connect-streams');

// The library tells the console of every step; only its errors are of interest here.
global.connect.getLog().setEchoLevel(global.connect.LogLevel.ERROR);

/** Streams with an agent logged in who has these contacts. */
function streamsWith(contacts, { answers = {} } = {}) {
    const { connect } = global;
    const calls = [];
    const bus = new connect.EventBus({ logEvents: false });
    connect.core.eventBus = bus;
    connect.core.agentDataProvider = new connect.core.AgentDataProvider(bus);
    connect.core.mediaFactory = { get: () => Promise.resolve(null) };
    connect.core.upstream = { sendUpstream() {} };
    const now = { contacts };
    const tell = (next = now.contacts) => {
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
            execute(method, params, now.contacts);
            callbacks.success({});
            setTimeout(() => tell(), 5);
        }
    };
    tell();
    const did = () => calls.filter((call) => call.method !== 'sendClientLogs');
    return { connect, tell, calls: did };
}

/** What a CCP does to its contacts. */
function execute(method, { contactId, connectionId, targetMonitorMode }, contacts) {
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
