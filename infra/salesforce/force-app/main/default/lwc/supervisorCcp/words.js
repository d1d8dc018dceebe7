/**
 * Every text that supervisorCcp shows. `fill` puts values in for {0}, {1}, as Lightning's custom labels do.
 */
export const WORDS = {
    section: 'Contact Control Panel',
    elsewhere: 'The Contact Control Panel is open elsewhere on this page.',
    noAddress: 'The address of the Contact Control Panel is missing. An administrator enters it in the app’s utility bar.',
    invalidAddress: '“{0}” ({1}) is not a valid https address.',
    foreignHost:
        '“{0}” ({1}) is not an address of Amazon Connect (https://<alias>.my.connect.aws or https://<alias>.awsapps.com/connect). ' +
        'If it is yours, an administrator adds its host under “Other allowed hosts”.',
    storageNeedsInstance:
        'To ask for cookies, Amazon Connect needs the address of your instance, because the CCP URL is not one. ' +
        'An administrator enters it as “Instance URL”.',
    openCti:
        'This page also has an Open CTI softphone. Two softphones on one page would compete for your calls, so this panel stays closed, ' +
        'and Sidedoor does not end your line here. End it in that softphone, or use an app without Open CTI.',
    notSignedIn:
        'You are not signed in to Amazon Connect. Sign in in the window that has opened. If none has, allow pop-ups for this site and ' +
        'reload the page.',
    notSignedInStorage:
        'You are not signed in to Amazon Connect. Allow cookies in the panel below if it asks for them, then sign in in the window that ' +
        'opens. If none opens, allow pop-ups for this site and reload the page.',
    signInFailed: 'Amazon Connect has rejected or ended your sign-in. Sign in again in the window that opens, or reload the page.',
    accessDenied:
        'Amazon Connect has denied access. Ask its administrator for a security profile that includes the Contact Control Panel, and ' +
        'whether this site is an approved origin of the instance.',
    notLoaded:
        'The Contact Control Panel has not loaded. An administrator checks the trusted URL (frame-src) in Salesforce and the approved ' +
        'origin in Amazon Connect.',
    noMicrophone:
        'The browser does not let the Contact Control Panel use the microphone, so calls do not reach you. Allow it for this site and reload ' +
        'the page. If it is allowed, an administrator checks the trusted URL in Salesforce.',
    notOpened: 'Could not open the Contact Control Panel: {0}'
};

export function fill(text, ...values) {
    return text.replace(/\{(\d)\}/g, (_all, index) => values[index]);
}
