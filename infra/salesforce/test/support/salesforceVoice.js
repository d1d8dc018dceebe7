/**
 * Salesforce's side of a partner's connector: its messages go in over the port and the answers come out over it, so that the base
 * connector's own validation decides whether our results are valid. `connectorOf` is a partner's connector in the shape of its base.
 */
const { addSupervision, SidedoorError } = require('../../scv-connector/index.js');
const base4 = require('./connectorBase4');

const QUICK = { withinMs: 120, lookEveryMs: 5, watchMs: 1000, watchEveryMs: 5 };

/** [name, base] of every shape that is tested. SCV_CONNECTOR_BASE adds a real copy of another version. */
const BASES = [
    ['3.6.2', require('@salesforce/scv-connector-base/src/main/index.js')],
    ['4.8.1 (stand-in)', base4]
];
if (process.env.SCV_CONNECTOR_BASE) {
    BASES.push([process.env.SCV_CONNECTOR_BASE, require(process.env.SCV_CONNECTOR_BASE)]);
}

/** A fake Sidedoor. Each answer may be a value, a function or an error. */
function sidedoorWith(answers) {
    const requests = [];
    const send = async (method, path, { body, idempotencyKey } = {}) => {
        requests.push({ method, path, body, idempotencyKey });
        const name = Object.keys(answers).find((route) => {
            const [m, p] = route.split(' ');
            return m === method && (p === path || (p.endsWith('*') && path.startsWith(p.slice(0, -1))));
        });
        let answer = answers[name];
        if (answer === undefined) {
            throw new Error(`unexpected request: ${method} ${path}`);
        }
        answer = typeof answer === 'function' ? answer(requests) : answer;
        if (answer instanceof Error) {
            throw answer;
        }
        return answer;
    };
    return { send, requests };
}

const refused = (code, status) => new SidedoorError({ code, status, detail: code });

function connectorOf(base, init) {
    const voice = {
        async getAgentConfig() {
            return new base.AgentConfigResult({ phones: ['SOFT_PHONE'], selectedPhone: new base.Phone({ type: 'SOFT_PHONE' }) });
        },
        async getActiveCalls() {
            return new base.ActiveCallsResult({ activeCalls: [] });
        },
        async acceptCall(call) {
            return new base.CallResult({ call: new base.PhoneCall({ callId: call.callId, callType: 'Inbound', callAttributes: {} }) });
        }
    };
    const report = async () => new (base.VoiceCapabilitiesResult || base.CapabilitiesResult)({ hasRecord: false });
    voice[base.VoiceCapabilitiesResult ? 'getVoiceCapabilities' : 'getCapabilities'] = report;
    class Connector extends base.VendorConnector {
        async init() {
            return new base.InitResult(init);
        }
        async getSharedCapabilities() {
            return new base.SharedCapabilitiesResult({});
        }
    }
    if (!base.TelephonyConnector) {
        Object.assign(Connector.prototype, voice);
        return new Connector();
    }
    class Telephony extends base.TelephonyConnector {}
    Object.assign(Telephony.prototype, voice);
    // A new object each time, as Salesforce's demo connector does.
    Connector.prototype.getTelephonyConnector = async () => new Telephony();
    return new Connector();
}

/** A partner's connector with supervision, set up as Salesforce does. `ask` sends a message of Salesforce. */
async function salesforce(base, answers, { init = { showLogin: true, loginFrameHeight: 1 }, ...over } = {}) {
    const { send, requests } = sidedoorWith(answers);
    base.initializeConnector(addSupervision(connectorOf(base, init), { base, send, ...QUICK, ...over }));
    const issued = [];
    const port = { postMessage: (message) => issued.push(message) };
    const setUp = new MessageEvent('message', {
        data: { type: 'SETUP_CONNECTOR', connectorConfig: {} },
        origin: 'https://acme.lightning.force.com'
    });
    Object.defineProperty(setUp, 'ports', { value: [port] });
    window.dispatchEvent(setUp);
    await new Promise((done) => setTimeout(done, 5));
    const events = () =>
        issued.filter(({ type }) => type === 'TELEPHONY_EVENT_DISPATCHED').map(({ payload }) => ({
            type: payload.telephonyEventType,
            payload: payload.telephonyEventPayload
        }));
    const ask = async (type, call) => {
        const before = events().length;
        await port.onmessage({ data: { type, call } });
        return events().slice(before);
    };
    return { ask, events, issued, requests };
}

module.exports = { BASES, salesforce, connectorOf, refused };
