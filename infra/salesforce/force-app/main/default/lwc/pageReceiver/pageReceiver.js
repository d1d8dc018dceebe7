/**
 * The one receiver of directives of this page. Whoever needs it joins: the Contact Control Panel because it can act, a record's
 * component because it shows what happens. One of them is enough, and two are no more: two receivers would each keep their own
 * outcomes under one name.
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
/** Which beginning this is: what an older one still waits for comes to nothing. */
let beginnings = 0;

/**
 * Joins; the first who does starts it, the last who leaves ends it.
 *
 * @param {Function} heard called with what is heard: {name, …}; `unavailable` with a problem until it is `available` again
 */
export function joinReceiver(heard = () => {}) {
    const member = { heard, busy: false };
    members.add(member);
    if (members.size === 1) {
        begin();
    }
    return {
        /** Who the supervisor is to Connect, once that is known. */
        get connectUserId() {
            return receiver && receiver.connectUserId;
        },
        /** The service's time in ms, as well as it is known. */
        now() {
            return receiver ? receiver.clock.now() : Date.now();
        },
        /** Says whether this member has reason to ask often. */
        setBusy(busy) {
            member.busy = busy;
            tellBusy();
        },
        pull() {
            if (receiver) {
                receiver.pull();
            }
        },
        leave() {
            if (members.delete(member)) {
                tellBusy();
            }
            if (members.size === 0) {
                end();
            }
        }
    };
}

async function begin() {
    beginnings += 1;
    const beginning = beginnings;
    const backoff = new Backoff();
    let failed = false;
    forget = onLegControl(() => receiver && receiver.controlChanged());
    while (beginning === beginnings) {
        try {
            const settings = await settingsOf();
            if (beginning === beginnings) {
                await start(settings);
            }
            if (beginning === beginnings && failed) {
                tell({ name: 'available' });
            }
            return;
        } catch (e) {
            failed = true;
            if (beginning === beginnings) {
                receiver = null;
                tell({ name: 'unavailable', problem: problemOf(e) });
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
        changed: tell
    });
    tellBusy();
    await receiver.start();
}

function end() {
    beginnings += 1;
    if (forget) {
        forget();
        forget = null;
    }
    if (receiver) {
        receiver.stop();
        receiver = null;
    }
}

function tell(what) {
    [...members].forEach(({ heard }) => heard(what));
}

function tellBusy() {
    if (receiver) {
        receiver.setBusy([...members].some(({ busy }) => busy));
    }
}
