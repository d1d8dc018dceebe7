/**
 * The browser's part of a leave or a change of mode: leg control carries the directive in an answer out once, and the outcome is sent
 * until the service has it. A ticket contains the supervisor's Connect user id and reveals the service's time.
 *
 * The locks have the same names as those of the Lightning components (lwc/directives/locks.js), because both may run in one browser.
 */
const directiveLock = (directiveId) => `sidedoor.directive.${directiveId}`;
const supervisionLock = (supervisionId) => `sidedoor.supervision.${supervisionId}`;

const TICKET_LIVES_MS = 60000;
/** Outcomes kept. Directives expire after minutes, so the newest are enough. */
const MOST = 50;
/** Waits between attempts to acknowledge (ms), and the number of attempts: about two hours in total. */
const FIRST_MS = 500;
const MOST_MS = 30000;
const TRIES = 250;
/** How long a directive waits for a ticket (ms). */
const TICKET_MS = 2000;

/**
 * @param {object} parts send and legControl, as for supervision(); isFinal(error): whether the service would give the same answer
 *   again; locks: the browser's Web Locks; firstMs: the first wait; ticketMs: how long to wait for a ticket
 */
export function directiveExecutor({ send, legControl, isFinal, locks = locksOf(), firstMs = FIRST_MS, ticketMs = TICKET_MS }) {
    const done = new Map();
    let ticket = null;
    let latest = null;
    let turn = Promise.resolve();

    /** The supervisor's Connect user id and the offset of this computer's clock in ms. Fetched once; a failure is retried next time. */
    async function identity() {
        if (!ticket) {
            const asked = Date.now();
            const given = await send('POST', '/v1/supervisors/me/tickets', { body: {} });
            const offsetMs = Date.parse(given.expiresAt) - TICKET_LIVES_MS - (asked + Date.now()) / 2;
            ticket = { connectUserId: given.connectUserId, offsetMs: Number.isFinite(offsetMs) ? offsetMs : 0 };
        }
        return ticket;
    }

    async function runIfFree(name, action) {
        if (!locks) {
            await action();
            return;
        }
        await locks.request(name, { ifAvailable: true }, async (lock) => {
            if (lock) {
                await action();
            }
        });
    }

    async function act(directive) {
        // Without a ticket in time this computer's clock is used, because a leave must not be delayed by the clock.
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
         * Carries out the directive in an answer, if there is one. Resolves when that is done or another tab is doing it. The
         * acknowledgement continues in the background, because its failure does not affect the line.
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
