/**
 * A page like a record page: the supervisor's CCP and their presence on one call.
 */
import { createElement } from 'lwc';
import SupervisorCcp from 'c/supervisorCcp';
import SupervisorPresence from 'c/supervisorPresence';
import { currentLegControl } from 'c/legControl';

const asked = new URLSearchParams(window.location.search);

const presence = createElement('c-supervisor-presence', { is: SupervisorPresence });
// A page without it is like any page of the console with the CCP in its utility bar.
const alone = asked.get('presence') === 'no';
// An agent's page names the agent, as the page of a User does, and no contact.
const subject = asked.get('agent') ? { recordId: asked.get('agent'), objectApiName: 'User' } : { contactId: asked.get('contact') };
Object.assign(presence, { ...subject, allowBarge: true, timeZone: 'UTC' });
if (!alone) {
    document.querySelector('#presence').appendChild(presence);
}

// The platform's own style sheet reaches into components; here the little that is needed of it does.
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
    ccp.ccpUrl = asked.get('ccp');
    document.querySelector('#ccp').appendChild(ccp);
}

if (asked.get('ccp')) {
    openCcp();
}

// The utility bar closes and opens its components, for instance when the app is switched.
window.takeCcpAway = () => document.querySelector('#ccp').replaceChildren();
window.bringCcpBack = openCcp;

// For the tests of misuse: what a page could hand to leg control, however it came by it.
window.execute = (directive) => currentLegControl().execute(directive);
window.hasControl = () => currentLegControl() !== null;
