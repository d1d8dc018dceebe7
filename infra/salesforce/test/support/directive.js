/** A directive as the service sends it. */
let last = 0;

function directive(over = {}) {
    last += 1;
    const now = Date.now();
    return {
        eventId: String(last),
        act: true,
        directiveId: `00000000-0000-7000-8000-${String(last).padStart(12, '0')}`,
        kind: 'END_LEG_IN_CCP',
        mode: null,
        status: 'OPEN',
        supervisionId: '00000000-0000-7000-8000-00000000aaaa',
        legContactId: 'leg-1',
        contactId: 'customer-1',
        controllerAttached: true,
        customerCallMayEnd: false,
        instructions: 'End your own leg.',
        issuedAt: new Date(now).toISOString(),
        expiresAt: new Date(now + 300000).toISOString(),
        acknowledged: null,
        ...over
    };
}

module.exports = { directive };
