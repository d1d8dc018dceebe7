/**
 * A stand-in for `@salesforce/scv-connector-base` 4.8.1, which the registry of our builds does not have. It keeps the part of the
 * contract that supervision touches, as the source has it (https://github.com/salesforce/scv-connector-base, src/main): which object
 * Salesforce's messages go to, which class each answer must have, and which event follows. Written from that source, not copied.
 * The tests also run with a real copy: SCV_CONNECTOR_BASE=…/scv-connector-base/dist/scv-connector-base.js
 */

const Constants = {
    SHARED_EVENT_TYPE: { LOGIN_RESULT: 'LOGIN_RESULT', MESSAGE: 'MESSAGE' },
    VOICE_EVENT_TYPE: {
        CALL_CONNECTED: 'CALL_CONNECTED',
        SUPERVISOR_BARGED_IN: 'SUPERVISOR_BARGED_IN',
        SUPERVISOR_CALL_STARTED: 'SUPERVISOR_CALL_STARTED',
        SUPERVISOR_CALL_CONNECTED: 'SUPERVISOR_CALL_CONNECTED',
        SUPERVISOR_HANGUP: 'SUPERVISOR_HANGUP'
    },
    CALL_TYPE: { INBOUND: 'Inbound', OUTBOUND: 'Outbound', CALLBACK: 'Callback', CONSULT: 'Consult' },
    CALL_STATE: { RINGING: 'ringing', CONNECTED: 'connected', ENDED: 'ended' },
    PARTICIPANT_TYPE: { AGENT: 'Agent', INITIAL_CALLER: 'Initial_Caller', THIRD_PARTY: 'Third_Party', SUPERVISOR: 'Supervisor' },
    PHONE_TYPE: { DESK_PHONE: 'DESK_PHONE', SOFT_PHONE: 'SOFT_PHONE' }
};

function must(good, what) {
    if (!good) {
        throw new Error(`Invalid argument: ${what}`);
    }
}
const string = (value, name) => must(typeof value === 'string', `${name} must be a string`);
const boolean = (value, name) => must(typeof value === 'boolean', `${name} must be a boolean`);
const instance = (value, type) => must(value instanceof type, `expected a ${type.name}`);
const oneOf = (value, values, name) => must(Object.values(values).some((one) => one.toLowerCase() === String(value).toLowerCase()), name);

class CustomError extends Error {}

class Phone {
    constructor({ type }) {
        oneOf(type, Constants.PHONE_TYPE, 'type');
        this.type = type;
    }
}

class InitResult {
    constructor({ showLogin = false, loginFrameHeight = 350 }) {
        Object.assign(this, { showLogin, loginFrameHeight });
    }
}

class AgentConfigResult {
    constructor({ phones = ['SOFT_PHONE'], selectedPhone = new Phone({ type: 'SOFT_PHONE' }) }) {
        instance(phones, Array);
        instance(selectedPhone, Phone);
        Object.assign(this, { phones, selectedPhone });
    }
}

/** A class of capabilities: booleans with defaults. */
function capabilities(defaults) {
    return (given) => {
        const all = { ...defaults, ...given };
        Object.keys(defaults).forEach((name) => boolean(all[name], name));
        return all;
    };
}
const voiceCapabilities = capabilities({
    hasMute: true,
    hasRecord: true,
    hasMerge: true,
    hasSwap: true,
    hasSupervisorListenIn: false,
    hasSupervisorBargeIn: false
});
const sharedCapabilities = capabilities({ debugEnabled: true, hasContactSearch: false });

class VoiceCapabilitiesResult {
    constructor(given) {
        Object.assign(this, voiceCapabilities(given));
    }
}

class SharedCapabilitiesResult {
    constructor(given) {
        Object.assign(this, sharedCapabilities(given));
    }
}

class CallInfo {
    constructor({ isReplayable = true, ...others }) {
        Object.assign(this, { isReplayable, ...others });
    }
}

class PhoneCallAttributes {
    constructor({ voiceCallId, participantType, hasSupervisorBargedIn = false, ...others }) {
        if (voiceCallId) {
            string(voiceCallId, 'voiceCallId');
        }
        if (participantType) {
            oneOf(participantType, Constants.PARTICIPANT_TYPE, 'participantType');
        }
        boolean(hasSupervisorBargedIn, 'hasSupervisorBargedIn');
        Object.assign(this, { voiceCallId, participantType, hasSupervisorBargedIn, ...others });
    }
}

class PhoneCall {
    constructor({ callId, connectionId, callType, state, callAttributes, callInfo }) {
        if (callId) {
            string(callId, 'callId');
            this.callId = callId;
        }
        // "if not provided, it will be a copy of the callId"
        if (connectionId) {
            string(connectionId, 'connectionId');
            this.connectionId = connectionId;
        } else if (callId) {
            this.connectionId = callId;
        }
        if (callType) {
            oneOf(callType, Constants.CALL_TYPE, 'callType');
            this.callType = callType;
        }
        if (callInfo) {
            instance(callInfo, CallInfo);
            this.callInfo = callInfo;
        }
        Object.assign(this, { state, callAttributes });
    }
}

class CallResult {
    constructor({ call }) {
        instance(call, PhoneCall);
        this.call = call;
    }
}

class ActiveCallsResult {
    constructor({ activeCalls = [] }) {
        activeCalls.forEach((call) => instance(call, PhoneCall));
        this.activeCalls = activeCalls;
    }
}

class SuperviseCallResult {
    constructor({ call }) {
        instance(call, PhoneCall);
        this.call = call;
    }
}

class SupervisorHangupResult {
    constructor({ calls }) {
        this.calls = Array.isArray(calls) ? calls : [calls];
        this.calls.forEach((call) => instance(call, PhoneCall));
    }
}

/** A class whose methods throw until a subclass has its own, as those of the base do. */
function unimplemented(...names) {
    class Base {}
    names.forEach((name) => {
        Base.prototype[name] = () => {
            throw new Error('Not implemented');
        };
    });
    return Base;
}
const TelephonyConnector = unimplemented(
    'getActiveCalls',
    'acceptCall',
    'getAgentConfig',
    'getVoiceCapabilities',
    'superviseCall',
    'supervisorDisconnect',
    'supervisorBargeIn'
);
const VendorConnector = unimplemented('init', 'getTelephonyConnector', 'getSharedCapabilities');

let vendor;
let port;
let isSupervisorConnected = false;

const dispatch = (type, payload) =>
    port.postMessage({ type: 'TELEPHONY_EVENT_DISPATCHED', payload: { telephonyEventType: type, telephonyEventPayload: payload } });
const dispatchError = (message) => dispatch('ERROR', { message });

async function connectorReady() {
    let payload = {};
    try {
        const telephony = await vendor.getTelephonyConnector();
        instance(await telephony.getAgentConfig(), AgentConfigResult);
        await vendor.getSharedCapabilities();
        const voice = await telephony.getVoiceCapabilities();
        instance(voice, VoiceCapabilitiesResult);
        const { activeCalls } = await telephony.getActiveCalls();
        payload = {
            capabilities: {
                MUTE: voice.hasMute,
                RECORD: voice.hasRecord,
                SUPERVISOR_LISTEN_IN: voice.hasSupervisorListenIn,
                SUPERVISOR_BARGE_IN: voice.hasSupervisorBargeIn
            },
            callInProgress: activeCalls[0] || null
        };
    } catch {
        // "Post CONNECTOR_READY even if getAgentConfig is not implemented"
    }
    port.postMessage({ type: 'CONNECTOR_READY', payload });
}

const SUPERVISION = {
    async SUPERVISE_CALL(call) {
        isSupervisorConnected = true;
        try {
            const telephony = await vendor.getTelephonyConnector();
            const result = await telephony.superviseCall(call);
            instance(result, SuperviseCallResult);
            const { selectedPhone } = await telephony.getAgentConfig();
            const connected = selectedPhone.type === 'SOFT_PHONE';
            dispatch(connected ? 'SUPERVISOR_CALL_CONNECTED' : 'SUPERVISOR_CALL_STARTED', result.call);
        } catch {
            isSupervisorConnected = false;
            dispatchError('CAN_NOT_SUPERVISE_CALL');
        }
    },
    async SUPERVISOR_DISCONNECT(call) {
        try {
            const result = await (await vendor.getTelephonyConnector()).supervisorDisconnect(call);
            instance(result, SupervisorHangupResult);
            isSupervisorConnected = false;
            dispatch('SUPERVISOR_HANGUP', result.calls);
        } catch {
            dispatchError('CAN_NOT_DISCONNECT_SUPERVISOR');
        }
    },
    async SUPERVISOR_BARGE_IN(call) {
        try {
            const result = await (await vendor.getTelephonyConnector()).supervisorBargeIn(call);
            instance(result, SuperviseCallResult);
            dispatch('SUPERVISOR_BARGED_IN', result.call);
        } catch {
            dispatchError('CAN_NOT_BARGE_IN_SUPERVISOR');
        }
    },
    async ACCEPT_CALL(call) {
        try {
            const telephony = await vendor.getTelephonyConnector();
            if (isSupervisorConnected) {
                const left = await telephony.supervisorDisconnect();
                instance(left, SupervisorHangupResult);
                isSupervisorConnected = false;
                dispatch('SUPERVISOR_HANGUP', left.calls);
            }
            const accepted = await telephony.acceptCall(call);
            instance(accepted, CallResult);
            dispatch('CALL_CONNECTED', accepted.call);
        } catch {
            isSupervisorConnected = false;
            dispatch('INFO', { message: 'CAN_NOT_ACCEPT_THE_CALL' });
        }
    }
};

async function setUp(message) {
    if (message.data.type !== 'SETUP_CONNECTOR') {
        return;
    }
    window.removeEventListener('message', setUp);
    [port] = message.ports;
    port.onmessage = ({ data }) => SUPERVISION[data.type] && SUPERVISION[data.type](data.call);
    const result = await vendor.init(message.data.connectorConfig);
    instance(result, InitResult);
    if (result.showLogin) {
        dispatch('SHOW_LOGIN', { loginFrameHeight: result.loginFrameHeight });
    } else {
        await connectorReady();
    }
}

function initializeConnector(connector) {
    vendor = connector;
    window.addEventListener('message', setUp);
}

/** Events of other types, and payloads of another class, are not published. */
async function publishEvent({ eventType, payload }) {
    if (eventType !== Constants.VOICE_EVENT_TYPE.SUPERVISOR_HANGUP) {
        return;
    }
    if (payload instanceof SupervisorHangupResult) {
        isSupervisorConnected = false;
        dispatch('SUPERVISOR_HANGUP', payload.calls);
    } else {
        dispatchError('CAN_NOT_DISCONNECT_SUPERVISOR');
    }
}

module.exports = {
    Constants,
    CustomError,
    Phone,
    InitResult,
    AgentConfigResult,
    VoiceCapabilitiesResult,
    SharedCapabilitiesResult,
    CallInfo,
    PhoneCallAttributes,
    PhoneCall,
    CallResult,
    ActiveCallsResult,
    SuperviseCallResult,
    SupervisorHangupResult,
    TelephonyConnector,
    VendorConnector,
    initializeConnector,
    publishEvent
};
