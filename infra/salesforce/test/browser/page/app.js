/**
 * The test page, which works like a record page: supervisorPresence for one call, or with board=yes supervisorBoard; and supervisorCcp.
 */
import '@lwc/synthetic-shadow';
import { createElement } from 'lwc';
import SupervisorBoard from 'c/supervisorBoard';
import SupervisorCcp from 'c/supervisorCcp';
import SupervisorPresence from 'c/supervisorPresence';
import { currentLegControl } from 'c/legControl';

const asked = new URLSearchParams(window.location.search);

// Without supervisorPresence the page works like any console page with the CCP in its utility bar.
const ccpOnly = asked.get('presence') === 'no';
// Only what a test sets, as the App Builder sets only what an administrator has entered.
const settings = Object.fromEntries(['canStart', 'canDisconnect', 'askReason'].filter((name) => asked.has(name)).map((name) => [name, asked.get(name)]));

function content() {
    if (asked.get('board') === 'yes') {
        return Object.assign(createElement('c-supervisor-board', { is: SupervisorBoard }), settings);
    }
    // An agent's page gives the record of a User and no contact.
    const subject = asked.get('agent') ? { recordId: asked.get('agent'), objectApiName: 'User' } : { contactId: asked.get('contact') };
    const presence = createElement('c-supervisor-presence', { is: SupervisorPresence });
    return Object.assign(presence, { ...subject, ...settings, allowBarge: !asked.has('canDisconnect'), timeZone: 'UTC' });
}

if (asked.get('dark') === 'yes') {
    document.body.classList.add('slds-color-scheme_dark');
}
if (!ccpOnly) {
    document.querySelector('#presence').appendChild(content());
}

function openCcp() {
    const ccp = createElement('c-supervisor-ccp', { is: SupervisorCcp });
    const ccpUrl = asked.get('ccp');
    // The simulated CCP is on this computer, so it is allowed as an administrator allows a host of their own.
    Object.assign(ccp, { ccpUrl, allowedHosts: new URL(ccpUrl).origin, requestStorageAccess: asked.get('storage') === 'yes' });
    document.querySelector('#ccp').appendChild(ccp);
}

if (asked.get('ccp')) {
    openCcp();
}

// The utility bar closes and opens its components, for instance when the app is switched.
window.takeCcpAway = () => document.querySelector('#ccp').replaceChildren();
window.bringCcpBack = openCcp;

// For misuse.test.mjs: a page could pass any directive to leg control.
window.execute = (directive) => currentLegControl().execute(directive);
window.hasControl = () => currentLegControl() !== null;
