/**
 * A page like a record page: the supervisor's CCP and their presence on one call.
 */
import { createElement } from 'lwc';
import SupervisorCcp from 'c/supervisorCcp';
import SupervisorPresence from 'c/supervisorPresence';
import { currentLegControl } from 'c/legControl';

const asked = new URLSearchParams(window.location.search);

const presence = createElement('c-supervisor-presence', { is: SupervisorPresence });
Object.assign(presence, { contactId: asked.get('contact'), allowBarge: true, timeZone: 'UTC' });
document.querySelector('#presence').appendChild(presence);

if (asked.get('ccp')) {
    const ccp = createElement('c-supervisor-ccp', { is: SupervisorCcp });
    ccp.ccpUrl = asked.get('ccp');
    document.querySelector('#ccp').appendChild(ccp);
}

// For the tests of misuse: what a page could hand to leg control, however it came by it.
window.obey = (directive) => currentLegControl().obey(directive);
window.hasControl = () => currentLegControl() !== null;
