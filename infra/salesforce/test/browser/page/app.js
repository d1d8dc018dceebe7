/**
 * The test page, which works like a record page: supervisorPresence for one call, and supervisorCcp.
 */
import { createElement } from 'lwc';
import SupervisorCcp from 'c/supervisorCcp';
import SupervisorPresence from 'c/supervisorPresence';
import { currentLegControl } from 'c/legControl';

const asked = new URLSearchParams(window.location.search);

const presence = createElement('c-supervisor-presence', { is: SupervisorPresence });
// Without supervisorPresence the page works like any console page with the CCP in its utility bar.
const ccpOnly = asked.get('presence') === 'no';
// An agent's page gives the record of a User and no contact.
const subject = asked.get('agent') ? { recordId: asked.get('agent'), objectApiName: 'User' } : { contactId: asked.get('contact') };
Object.assign(presence, { ...subject, allowBarge: true, timeZone: 'UTC' });
if (!ccpOnly) {
    document.querySelector('#presence').appendChild(presence);
}

// The platform's style sheet applies inside components. These are the parts that the pictures need.
const buttons = new CSSStyleSheet();
buttons.replaceSync(`
    .slds-button { border: 1px solid #747474; border-radius: 4px; background: #fff; color: #0176d3; cursor: pointer; font: inherit; padding: 5px 16px; }
    .slds-button_brand { background: #0176d3; border-color: #0176d3; color: #fff; }
    .slds-button_destructive { background: #ba0517; border-color: #ba0517; color: #fff; }
    .slds-button:focus-visible { outline: 2px solid #0176d3; outline-offset: 2px; }
`);
presence.shadowRoot.adoptedStyleSheets = [...presence.shadowRoot.adoptedStyleSheets, buttons];

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
