/**
 * Decides which addresses the panel opens. A page inside Salesforce must not show any site as the Contact Control Panel, so only
 * Amazon Connect's own addresses are accepted, and hosts that an administrator has added.
 *
 * An instance is reached at https://<alias>.my.connect.aws/ or, if it is older, at https://<alias>.awsapps.com/connect/
 * (https://docs.aws.amazon.com/connect/latest/adminguide/case-agent-experience.html).
 */
import { fill, labels } from 'c/labels';

/** "Pattern: ^(?!d-)([\da-zA-Z]+)([-]*[\da-zA-Z])*$", at most 45 characters (API reference, Instance); d-… belongs to a directory. */
const ALIAS = '[a-z0-9](?:[a-z0-9-]{0,43}[a-z0-9])?';
const CONNECT = new RegExp(`^https://${ALIAS}\\.my\\.connect\\.aws/`);
const AWSAPPS = new RegExp(`^https://${ALIAS}\\.awsapps\\.com/connect/`);
const AWSAPPS_HOST = new RegExp(`^https://${ALIAS}\\.awsapps\\.com$`, 'i');
const LOOPBACK = ['localhost', '127.0.0.1'];

/** Thrown for an address that is not accepted; the message is for the page. */
export class AddressError extends Error {}

/**
 * The options of initCCP that depend on addresses.
 *
 * @param {object} given ccpUrl, instanceUrl, loginUrl and allowedHosts as an administrator has entered them, and requestStorageAccess
 * @returns {{ccpUrl: string, loginUrl: string|undefined, storageAccess: object}}
 */
export function ccpAddress({ ccpUrl, instanceUrl, loginUrl, allowedHosts, requestStorageAccess }) {
    const instance = instanceUrl ? instanceOf(instanceUrl, allowedHosts) : null;
    if (!ccpUrl && !instance) {
        throw new AddressError(labels.CcpNoAddress);
    }
    const ccp = ccpUrl ? frameable(ccpUrl, 'CCP URL', allowedHosts) : new URL('ccp-v2/', instance);
    if (requestStorageAccess && !instance && !isConnect(ccp) && !isLoopback(ccp)) {
        throw new AddressError(labels.CcpStorageNeedsInstance);
    }
    return {
        ccpUrl: ccp.href,
        loginUrl: loginUrl ? secure(loginUrl, 'SSO login URL').href : undefined,
        storageAccess: requestStorageAccess
            ? { canRequest: true, mode: 'default', ...(instance ? { instanceUrl: instance.href } : {}) }
            : { canRequest: false }
    };
}

/**
 * The instance's base address with a slash at the end: https://acme.my.connect.aws/ or https://acme.awsapps.com/connect/. The path of the
 * latter may be missing, because a trusted URL and the set-up script take an origin.
 */
function instanceOf(text, allowedHosts) {
    const base = String(text).trim().replace(/\/+$/, '');
    return frameable(AWSAPPS_HOST.test(base) ? `${base}/connect/` : `${base}/`, 'Instance URL', allowedHosts);
}

function frameable(text, name, allowedHosts) {
    const url = secure(text, name);
    if (!isConnect(url) && !originsOf(allowedHosts).includes(url.origin)) {
        throw new AddressError(fill(labels.CcpForeignHost, text, name));
    }
    return url;
}

/** An https address without a user name; http only for this computer. */
function secure(text, name) {
    let url;
    try {
        url = new URL(String(text).trim());
    } catch {
        url = null;
    }
    const encrypted = url && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url)));
    if (!encrypted || url.username || url.password) {
        throw new AddressError(fill(labels.CcpInvalidAddress, text, name));
    }
    return url;
}

function isConnect({ href }) {
    return CONNECT.test(href) || AWSAPPS.test(href);
}

function isLoopback({ hostname }) {
    return LOOPBACK.includes(hostname);
}

/** Origins from a list such as "acme.govcloud.connect.aws, https://sso.example.com". Entries that are not addresses allow nothing. */
function originsOf(hosts) {
    return String(hosts || '')
        .split(/[\s,;]+/)
        .filter(Boolean)
        .map((host) => {
            try {
                return secure(/^https?:\/\//i.test(host) ? host : `https://${host}`, '').origin;
            } catch {
                return null;
            }
        })
        .filter(Boolean);
}
