/**
 * Finds an Open CTI softphone on the page. AWS's CTI adapter is one: it holds a CCP in its own frame, and a user's calls would reach only
 * one of two CCPs. (Streams: "should not be used to embed multiple CCPs in the same browser context".)
 *
 * It is recognised by Salesforce's library (`sforce.opencti`), by the class that Lightning gives to its component `opencti:softPhone`,
 * or by the pages of AWS's adapter in a frame (amazonconnect__AC_LightningAdapter, AC_ConsoleAdapter; ACSFCCP_… in old versions).
 * The class follows Aura's naming of component classes and has not been verified in an org.
 */
const SOFTPHONE = '.openctiSoftPhone, [data-aura-class~="openctiSoftPhone"]';
const ADAPTER = /\/apex\/(amazonconnect__)?(AC_(Lightning|Console|Classic)\w*Adapter|ACSFCCP_)/i;

/** @param {Window} page the window that may hold the softphone */
export function hasOpenCti(page) {
    const { sforce, document: content } = page;
    if (sforce && sforce.opencti) {
        return true;
    }
    if (content.querySelector(SOFTPHONE)) {
        return true;
    }
    return [...content.querySelectorAll('iframe')].some((frame) => ADAPTER.test(frame.getAttribute('src') || ''));
}
