/**
 * A partner's connector that imports the packages by their names, as its authors would write it. It listens to a call through a fake
 * back end, leaves again without naming the call, and prints what happened as JSON.
 */
import * as imported from '@salesforce/scv-connector-base';
import { addSupervision, overFetch, SidedoorError } from 'sidedoor-scv-connector';

const base = imported.PhoneCall ? imported : imported.default;
const requests = [];
const supervision = (state) => ({ id: 's-1', contactId: 'customer-1', state, mode: 'SILENT', supervisor: { connectUserId: 'me' } });

async function backEnd(url, { method }) {
    requests.push(`${method} ${url}`);
    const answer = supervision(url.endsWith('/disconnect') ? 'LEFT' : 'MONITORING');
    return { ok: true, status: 200, json: async () => answer };
}

const report = async () => new (base.VoiceCapabilitiesResult || base.CapabilitiesResult)({});
class Connector extends base.VendorConnector {}
if (base.TelephonyConnector) {
    class Telephony extends base.TelephonyConnector {}
    Telephony.prototype.getVoiceCapabilities = report;
    Connector.prototype.getTelephonyConnector = async () => new Telephony();
} else {
    Connector.prototype.getCapabilities = report;
}

const connector = addSupervision(new Connector(), { base: imported, send: overFetch(backEnd, 'https://partner.example/sidedoor') });
const telephony = base.TelephonyConnector ? await connector.getTelephonyConnector() : connector;
const started = await telephony.superviseCall({ callId: 'customer-1', callType: 'Inbound' });
const ended = await telephony.supervisorDisconnect();
const { hasSupervisorListenIn, hasSupervisorBargeIn } = await (telephony.getVoiceCapabilities || telephony.getCapabilities).call(telephony);
console.log(
    JSON.stringify({
        started: [started instanceof base.SuperviseCallResult, started.call.callId],
        ended: [ended instanceof base.SupervisorHangupResult, ended.calls.map(({ state }) => state)],
        capabilities: [hasSupervisorListenIn, hasSupervisorBargeIn],
        error: new SidedoorError({ code: 'x' }).type,
        requests
    })
);
