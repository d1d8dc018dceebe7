/**
 * The receiver of directives that all components of a page share. supervisorCcp joins because it can act, supervisorPresence because
 * it shows what happens; either is enough. There is only one, because two receivers would overwrite each other's stored outcomes.
 */
import { subscribe, unsubscribe } from 'lightning/empApi';
import settingsOf from '@salesforce/apex/SidedoorController.settings';
import directivesAfter from '@salesforce/apex/SidedoorController.directivesAfter';
import acknowledge from '@salesforce/apex/SidedoorController.acknowledge';
import streamTicket from '@salesforce/apex/SidedoorController.streamTicket';
import { Backoff, DirectiveReceiver, problemOf } from 'c/directives';
import { currentLegControl, onLegControl } from 'c/legControl';

const members = new Set();
let receiver = null;
let forget = null;
/** Counts the starts, so that an earlier start that is still waiting notices that it is obsolete. */
let starts = 0;

/**
 * Joins the receiver. The first member starts it, and it stops when the last one leaves.
 *
 * @param {Function} onEvent called with each event {name, …}: those of DirectiveReceiver, `unavailable` with a problem while the
 *   settings cannot be read, and `available` when they can be again
 */
export function joinReceiver(onEvent = () => {}) {
    const member = { onEvent, busy: false };
    members.add(member);
    if (members.size === 1) {
        begin();
    }
    return {
        /** The supervisor's Connect user id, once it is known. */
        get connectUserId() {
            return receiver && receiver.connectUserId;
        },
        /** The service's time in ms, as far as it is known. */
        now() {
            return receiver ? receiver.clock.now() : Date.now();
        },
        /** Sets whether this member knows of a leg of the supervisor. Only then the page polls. */
        setBusy(busy) {
            member.busy = busy;
            updateBusy();
        },
        pull() {
            if (receiver) {
                receiver.pull();
            }
        },
        leave() {
            if (members.delete(member)) {
                updateBusy();
            }
            if (members.size === 0) {
                end();
            }
        }
    };
}

async function begin() {
    starts += 1;
    const own = starts;
    const backoff = new Backoff();
    let failed = false;
    forget = onLegControl(() => receiver && receiver.controlChanged());
    while (own === starts) {
        try {
            const settings = await settingsOf();
            if (own === starts) {
                await start(settings);
            }
            if (own === starts && failed) {
                notify({ name: 'available' });
            }
            return;
        } catch (e) {
            failed = true;
            if (own === starts) {
                receiver = null;
                notify({ name: 'unavailable', problem: problemOf(e) });
            }
            const wait = backoff.next();
            // eslint-disable-next-line @lwc/lwc/no-async-operation
            await new Promise((done) => setTimeout(done, wait));
        }
    }
}

async function start(settings) {
    receiver = new DirectiveReceiver({
        apex: { directivesAfter, acknowledge, streamTicket },
        settings,
        empApi: { subscribe, unsubscribe },
        legControl: currentLegControl,
        onEvent: notify
    });
    updateBusy();
    await receiver.start();
}

function end() {
    starts += 1;
    if (forget) {
        forget();
        forget = null;
    }
    if (receiver) {
        receiver.stop();
        receiver = null;
    }
}

function notify(event) {
    [...members].forEach(({ onEvent }) => onEvent(event));
}

function updateBusy() {
    if (receiver) {
        receiver.setBusy([...members].some(({ busy }) => busy));
    }
}
