/**
 * The browser's part of a leave or a change of mode: the directive in an answer is carried out by leg control, once, and
 * acknowledged until the service has it. Who the supervisor is and what time it is at the service, a ticket tells.
 *
 * The locks have the names that the Lightning components give theirs (lwc/directives/alone.js): both may be in one browser.
 */
const directiveLock = (directiveId) => `sidedoor.directive.${directiveId}`;
const supervisionLock = (supervisionId) => `sidedoor.supervision.${supervisionId}`;

const TICKET_LIVES_MS = 60000;
/** Outcomes remembered; a directive is good for minutes. */
const MOST = 50;
/** Waits between tries of an acknowledgement, and how many tries: about two hours. */
const FIRST_MS = 500;
const MOST_MS = 30000;
const TRIES = 250;
/** How long a directive waits for the ticket. */
const TICKET_MS = 2000;

/**
 * @param {object} parts send and legControl, as for supervision(); isFinal(error): whether the service will say the same again;
 *   locks: the browser's Web Locks; firstMs: the first wait; ticketMs: how long
 *   to wait for a ticket
 */
export function directiveExecutor({ send, legControl, isFinal, locks = locksOf(), firstMs = FIRST_MS, ticketMs = TICKET_MS }) {
    const done = new Map();
    let ticket = null;
    let latest = null;
    let turn = Promise.resolve();

    /** Who this supervisor is to Connect, and how far this computer's clock is off. Asked once; what fails is asked again. */
    async function identity() {
        if (!ticket) {
            const asked = Date.now();
            const given = await send('POST', '/v1/supervisors/me/tickets', { body: {} });
            const offsetMs = Date.parse(given.expiresAt) - TICKET_LIVES_MS - (asked + Date.now()) / 2;
            ticket = { connectUserId: given.connectUserId, offsetMs: Number.isFinite(offsetMs) ? offsetMs : 0 };
        }
        return ticket;
    }

    async function runIfFree(name, what) {
        if (!locks) {
            await what();
            return;
        }
        await locks.request(name, { ifAvailable: true }, async (lock) => {
            if (lock) {
                await what();
            }
        });
    }

    async function act(directive) {
        // Without a ticket soon it is this computer's time: a leave is not held up by it.
        let timer;
        const late = new Promise((over) => {
            timer = setTimeout(over, ticketMs, 0);
        });
        const offsetMs = await Promise.race([identity().then((known) => known.offsetMs, () => 0), late]);
        clearTimeout(timer);
        legControl.now = () => Date.now() + offsetMs;
        const stillWanted = () => latest === directive.directiveId;
        const { outcome, at, detail } = await legControl.execute(directive, { stillWanted });
        done.set(directive.directiveId, { directiveId: directive.directiveId, outcome, at, ...(detail ? { detail } : {}) });
        if (done.size > MOST) {
            done.delete(done.keys().next().value);
        }
    }

    async function acknowledge(supervisionId, body) {
        const path = `/v1/supervisions/${encodeURIComponent(supervisionId)}/acknowledgements`;
        for (let tries = 0; tries < TRIES; tries += 1) {
            try {
                await send('POST', path, { body, idempotencyKey: `ack-${body.directiveId}-${body.outcome}` });
                return;
            } catch (e) {
                if (isFinal(e)) {
                    return;
                }
            }
            const bound = Math.min(MOST_MS, firstMs * 2 ** Math.min(tries, 16));
            await new Promise((over) => setTimeout(over, bound / 2 + (Math.random() * bound) / 2));
        }
    }

    return {
        identity,

        /**
         * Carries out what an answer asks of the browser, if anything. It comes back when that is done or another tab is at it:
         * the acknowledgement goes on by itself, and its failing says nothing about the line.
         */
        carryOut(supervision) {
            const directive = supervision.nextAction;
            if (!legControl || !directive || directive.status !== 'OPEN') {
                return Promise.resolve();
            }
            const id = directive.directiveId;
            latest = id;
            turn = turn.then(
                () =>
                    new Promise((acted) => {
                        runIfFree(directiveLock(id), async () => {
                            if (!done.has(id)) {
                                await runIfFree(supervisionLock(supervision.id), () => act(directive));
                            }
                            acted();
                            if (done.has(id)) {
                                await acknowledge(supervision.id, done.get(id));
                            }
                        }).then(acted, acted);
                    })
            );
            return turn;
        }
    };
}

function locksOf() {
    return typeof navigator !== 'undefined' && navigator.locks ? navigator.locks : null;
}
