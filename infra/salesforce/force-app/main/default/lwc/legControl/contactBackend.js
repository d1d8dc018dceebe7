/**
 * Leg control over `@amazon-connect/contact` (checked against its types, 1.0.12): `disconnectSelf(contactId)`, "Disconnects the
 * current user from the contact."
 *
 * That package does not report how a contact was initiated. A contact is the supervisor's leg if its participant with `isSelf` has the
 * type `monitoring` or is in state `silent_monitor` or `barge`. The package cannot change the mode, so such a directive is refused
 * and the supervisor changes the mode in their CCP.
 */
import { Refusal } from './interlock';
import { SeenLegs } from './seenLegs';

const MONITORING_STATES = ['silent_monitor', 'barge'];
const GONE = ['disconnected', 'rejected'];
/** Participants looked at. Connect allows six on a call. */
const MOST = 20;

/**
 * @param {object} client a ContactClient
 */
export function contactBackend(client) {
    const seenLegs = new SeenLegs();

    async function state(participant) {
        const word = await client.getParticipantState(participant.participantId);
        return word.value === 'other' ? String(word.actual).toLowerCase() : word.value;
    }

    async function look(leg) {
        const contacts = await client.listContacts();
        if (!contacts.some((contact) => contact.contactId === leg)) {
            return { found: false, known: seenLegs.has(leg) };
        }
        const all = (await client.listParticipants(leg)).slice(0, MOST).filter((p) => p.contactId === leg);
        const states = await Promise.all(all.map(state));
        const selves = all.filter((p) => p.isSelf);
        const own = selves.length === 1 ? states[all.indexOf(selves[0])] : null;
        const monitor = own !== null && (selves[0].type.value === 'monitoring' || MONITORING_STATES.includes(own));
        if (monitor) {
            seenLegs.add(leg);
        }
        const others = all.filter((p, i) => !p.isSelf && isParty(p, states[i]));
        return {
            found: true,
            known: true,
            contactId: leg,
            monitor: monitor || (own !== null && GONE.includes(own) && seenLegs.has(leg)),
            own: selves.length === 1,
            // The package does not report capabilities, so every state but silent_monitor is treated as barged in.
            barged: own !== 'silent_monitor',
            others: others.length,
            ended: own !== null && GONE.includes(own)
        };
    }

    /** Whether another participant can be heard. A supervisor who only monitors cannot. */
    function isParty(participant, stateNow) {
        if (GONE.includes(stateNow) || stateNow === 'silent_monitor') {
            return false;
        }
        return stateNow === 'barge' || participant.type.value !== 'monitoring';
    }

    return {
        look,

        async end(leg, check) {
            const seen = await look(leg);
            if (!seen.found || seen.ended) {
                return 'gone';
            }
            check(seen);
            await client.disconnectSelf(leg);
            return 'ended';
        },

        async changeMode() {
            throw new Refusal('mode_change_unavailable');
        },

        async clear(leg) {
            const seen = await look(leg);
            if (seen.found && seen.monitor && seen.ended) {
                await client.clear(leg);
            }
        }
    };
}
