/** Supervisions as the service sends them. */

function departure(over = {}) {
    return {
        disconnectedAt: '2026-08-04T17:43:47.120Z',
        uncertaintyMs: 180,
        earliest: '2026-08-04T17:43:46.940Z',
        latest: '2026-08-04T17:43:47.300Z',
        vendorTimestamp: '2026-08-04T17:43:48.000Z',
        source: 'CONTACT_EVENT',
        reason: 'SUPERVISOR',
        customerCallContinued: true,
        agentAfter: { state: 'CONNECTED', looksWrong: false },
        conflicting: false,
        calibration: { grade: 'CALIBRATED', offsetMs: 1370, version: 3, modelledEarliest: null, modelledLatest: null },
        ...over
    };
}

function nextAction(over = {}) {
    return {
        directiveId: '00000000-0000-7000-8000-00000000dddd',
        kind: 'END_LEG_IN_CCP',
        mode: null,
        status: 'OPEN',
        supervisionId: '00000000-0000-7000-8000-00000000aaaa',
        legContactId: 'leg-1',
        contactId: 'customer-1',
        controllerAttached: true,
        customerCallMayEnd: false,
        instructions: 'End your own leg.',
        issuedAt: '2026-08-04T17:43:46.000Z',
        expiresAt: '2026-08-04T17:48:46.000Z',
        acknowledged: null,
        ...over
    };
}

function supervision(over = {}) {
    return {
        id: '00000000-0000-7000-8000-00000000aaaa',
        origin: 'API',
        instance: 'main',
        vendor: 'amazon-connect',
        channel: 'VOICE',
        contactId: 'customer-1',
        legContactId: 'leg-1',
        supervisor: { connectUserId: 'supervisor-1', username: 'ada', salesforceUserId: null },
        voiceCallId: null,
        agentUserId: 'agent-1',
        allowedModes: ['SILENT'],
        mode: 'SILENT',
        hasBarged: false,
        modeChange: null,
        compliance: { jurisdiction: null, rejoin: false, priorSupervisions: [], announcement: 'REVIEW' },
        state: 'MONITORING',
        overdue: false,
        leaveOutcome: null,
        waitsFor: null,
        requestedAt: '2026-08-04T17:40:00.000Z',
        joinedAt: '2026-08-04T17:40:00.250Z',
        joinedUncertaintyMs: 40,
        disconnectRequestedAt: null,
        failure: null,
        departure: null,
        salesforceRecord: {
            state: 'WRITTEN',
            version: 1,
            writtenVersion: 1,
            objectName: 'VoiceCallParticipant__c',
            recordId: 'a00000000000001',
            writtenAt: '2026-08-04T17:40:01.000Z',
            attempts: 0,
            lastError: null
        },
        nextAction: null,
        ...over
    };
}

module.exports = { supervision, departure, nextAction };
