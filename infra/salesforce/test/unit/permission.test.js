/** Agents use the same record pages as supervisors: without the permission nothing is shown or requested. */
import { createElement } from 'lwc';
import { getRecord } from 'lightning/uiRecordApi';
import { loadScript } from 'lightning/platformResourceLoader';
import SupervisorCcp from 'c/supervisorCcp';
import { liveCall, settings, presence, settle, show } from '../support/presencePage';

// The platform gives undefined, not false, if the permission is missing.
jest.mock('@salesforce/customPermission/Sidedoor_Supervise', () => ({ default: undefined }), { virtual: true });

it('supervisorPresence shows and requests nothing', async () => {
    const { element } = await show({ contactId: undefined, recordId: '0LQ000000000001', objectApiName: 'VoiceCall' });
    expect(element.shadowRoot.textContent).toBe('');
    expect(element.shadowRoot.querySelector('section')).toBeNull();
    expect(getRecord.getLastConfig()).not.toMatchObject({ recordId: '0LQ000000000001' });
    element.contactId = 'customer-1';
    await settle();
    expect(presence).not.toHaveBeenCalled();
    expect(settings).not.toHaveBeenCalled();
    element.contactId = undefined;
    element.agentUserId = '005000000000001AAA';
    await settle();
    expect(liveCall).not.toHaveBeenCalled();
    document.body.removeChild(element);
});

it('supervisorCcp opens no CCP', async () => {
    const element = createElement('c-supervisor-ccp', { is: SupervisorCcp });
    element.ccpUrl = 'https://acme.my.connect.aws/ccp-v2/';
    document.body.appendChild(element);
    await settle();
    expect(element.shadowRoot.querySelector('section')).toBeNull();
    expect(loadScript).not.toHaveBeenCalled();
});
