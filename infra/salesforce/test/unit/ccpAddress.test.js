/** Which addresses supervisorCcp opens, and how it recognises an Open CTI softphone. */
import { ccpAddress, AddressError } from '../../force-app/main/default/lwc/supervisorCcp/ccpAddress';
import { hasOpenCti } from '../../force-app/main/default/lwc/supervisorCcp/openCti';

describe('the CCP address', () => {
    it.each([
        [{ ccpUrl: 'https://acme.my.connect.aws/ccp-v2/' }, 'https://acme.my.connect.aws/ccp-v2/'],
        [{ ccpUrl: ' https://ACME-2.my.connect.aws/ccp-v2 ' }, 'https://acme-2.my.connect.aws/ccp-v2'],
        [{ ccpUrl: 'https://acme.awsapps.com/connect/ccp-v2/' }, 'https://acme.awsapps.com/connect/ccp-v2/'],
        [{ instanceUrl: 'https://acme.my.connect.aws' }, 'https://acme.my.connect.aws/ccp-v2/'],
        [{ instanceUrl: 'https://acme.awsapps.com/connect/' }, 'https://acme.awsapps.com/connect/ccp-v2/'],
        [{ instanceUrl: 'https://acme.awsapps.com' }, 'https://acme.awsapps.com/connect/ccp-v2/'],
        [{ ccpUrl: 'https://acme.govcloud.connect.aws/ccp-v2/', allowedHosts: 'acme.govcloud.connect.aws' }, 'https://acme.govcloud.connect.aws/ccp-v2/'],
        [{ ccpUrl: 'https://sso.example.com/connect', allowedHosts: 'a.example, https://sso.example.com/' }, 'https://sso.example.com/connect'],
        [{ ccpUrl: 'http://127.0.0.1:8080/ccp', allowedHosts: 'http://127.0.0.1:8080' }, 'http://127.0.0.1:8080/ccp']
    ])('%j is accepted', (given, expected) => {
        expect(ccpAddress(given).ccpUrl).toBe(expected);
    });

    it.each([
        'https://evil.example/ccp-v2/',
        'https://acme.my.connect.aws.evil.example/ccp-v2/',
        'https://evil.example/?https://acme.my.connect.aws/',
        'https://acme.evil.my.connect.aws/ccp-v2/',
        'https://my.connect.aws/ccp-v2/',
        'https://acme.my.connect.aws:8443/ccp-v2/',
        'https://acme.awsapps.com',
        'https://acme.awsapps.com/other/',
        'https://acme.awsapps.com/connected/',
        'https://acme.govcloud.connect.aws/ccp-v2/'
    ])('%s is not Amazon Connect', (ccpUrl) => {
        expect(() => ccpAddress({ ccpUrl })).toThrow(AddressError);
        expect(() => ccpAddress({ ccpUrl })).toThrow(/is not an address of Amazon Connect/);
        // An entry allows exactly one host, so a wildcard and a part of a name allow nothing.
        expect(() => ccpAddress({ ccpUrl, allowedHosts: '*.evil.example, example, *, evil.my.connect.aws' })).toThrow(AddressError);
    });

    it.each([
        [{ ccpUrl: 'http://acme.my.connect.aws/ccp-v2/' }, 'CCP URL'],
        [{ ccpUrl: 'javascript:alert(1)' }, 'CCP URL'],
        [{ ccpUrl: 'https://user:secret@acme.my.connect.aws/ccp-v2/' }, 'CCP URL'],
        [{ ccpUrl: 'acme' }, 'CCP URL'],
        [{ instanceUrl: 'acme.my.connect.aws' }, 'Instance URL'],
        [{ instanceUrl: 'https://acme.my.connect.aws', loginUrl: 'http://idp.example/start' }, 'SSO login URL'],
        [{ instanceUrl: 'https://acme.my.connect.aws', loginUrl: 'javascript:alert(1)' }, 'SSO login URL']
    ])('%j is rejected by the name of its field', (given, name) => {
        expect(() => ccpAddress(given)).toThrow(`(${name}) is not a valid https address`);
    });

    it('is missing', () => {
        expect(() => ccpAddress({})).toThrow(/address of the Contact Control Panel is missing/);
    });

    it('may come with a login address at any identity provider', () => {
        const given = { instanceUrl: 'https://acme.my.connect.aws', loginUrl: 'https://idp.example.com/start?app=connect' };
        expect(ccpAddress(given).loginUrl).toBe('https://idp.example.com/start?app=connect');
        expect(ccpAddress({ instanceUrl: given.instanceUrl }).loginUrl).toBeUndefined();
    });
});

describe('storage access', () => {
    const SSO = { ccpUrl: 'https://sso.example.com/connect', allowedHosts: 'sso.example.com', requestStorageAccess: true };

    it('is not requested by default', () => {
        expect(ccpAddress({ instanceUrl: 'https://acme.my.connect.aws' }).storageAccess).toEqual({ canRequest: false });
    });

    it('needs no instance URL if the CCP URL is the instance’s', () => {
        const { storageAccess } = ccpAddress({ ccpUrl: 'https://acme.my.connect.aws/ccp-v2/', requestStorageAccess: true });
        expect(storageAccess).toEqual({ canRequest: true, mode: 'default' });
    });

    it('needs the instance URL if the CCP URL is another one', () => {
        expect(() => ccpAddress(SSO)).toThrow(/enters it as "Instance URL"/);
        expect(ccpAddress({ ...SSO, instanceUrl: 'https://acme.my.connect.aws' }).storageAccess).toEqual({
            canRequest: true,
            mode: 'default',
            instanceUrl: 'https://acme.my.connect.aws/'
        });
    });
});

describe('an Open CTI softphone', () => {
    afterEach(() => {
        document.body.replaceChildren();
        delete window.sforce;
    });

    it.each([
        ['the library in the page', () => (window.sforce = { opencti: {} })],
        ['Lightning’s softphone component', () => (document.body.innerHTML = '<div class="slds-utility openctiSoftPhone"></div>')],
        ['the same by its attribute', () => (document.body.innerHTML = '<div data-aura-class="forcePanel openctiSoftPhone"></div>')],
        [
            'the page of AWS’s adapter',
            () => (document.body.innerHTML = '<iframe src="https://acme--amazonconnect.vf.force.com/apex/AC_LightningAdapter?isdtp=p1"></iframe>')
        ],
        ['the page of an old adapter', () => (document.body.innerHTML = '<iframe src="/apex/amazonconnect__ACSFCCP_Lightning"></iframe>')]
    ])('is recognised by %s', (_what, add) => {
        expect(hasOpenCti(window)).toBe(false);
        add();
        expect(hasOpenCti(window)).toBe(true);
    });

    it('is not seen in other frames and scripts of Salesforce', () => {
        window.sforce = { console: {} };
        document.body.innerHTML =
            '<iframe src="https://acme--c.vf.force.com/apex/Report"></iframe><iframe></iframe><iframe src="/apex/amazonconnect__AC_ChatWidget"></iframe>';
        expect(hasOpenCti(window)).toBe(false);
    });
});
