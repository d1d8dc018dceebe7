/**
 * The supervisor's Contact Control Panel (CCP) in the utility bar, built on amazon-connect-streams. It receives directives, because
 * a page that holds the CCP can carry them out. It needs the library as a static resource and Connect's origin as a trusted URL
 * (frame-src); see docs/salesforce.md. A native Service Cloud Voice org has Salesforce's own CCP and does not use this component.
 *
 * It is for the utility bar only, where it stays while the supervisor goes from record to record. On a record page it would be
 * removed with the page, and the supervisor's line with it.
 */
import { LightningElement, api } from 'lwc';
import { loadScript } from 'lightning/platformResourceLoader';
import hasPermission from '@salesforce/customPermission/Sidedoor_Supervise';
import { fill, labels } from 'c/labels';
import { currentLegControl, LegControl, registerLegControl, streamsBackend } from 'c/legControl';
import { joinReceiver } from 'c/pageReceiver';
import { AddressError, ccpAddress } from './ccpAddress';
import { hasOpenCti } from './openCti';
import { close, isOpen, showFrameIn, subscribe } from './streamsLibrary';

/** The instance that holds this page's CCP, and those that wait for it, because Streams can be open only once in a page. */
let holder = null;
const waiting = new Set();

/** How long a sign-in may take without the supervisor's help before the panel says that there is none (ms). */
const SIGN_IN_MS = 20000;

export default class SupervisorCcp extends LightningElement {
    /** The address of the CCP: https://….my.connect.aws/ccp-v2/. Without it the CCP of `instanceUrl` is used. */
    @api ccpUrl;
    /** The address of the Connect instance: https://….my.connect.aws or https://….awsapps.com/connect */
    @api instanceUrl;
    /** The address at the identity provider where the sign-in begins, if the instance uses SAML. Streams opens it in a window. */
    @api loginUrl;
    /** Hosts besides Amazon Connect's that may be shown as the CCP, separated by commas. */
    @api allowedHosts;
    /** Whether the panel asks the browser for access to Connect's cookies, for browsers that block those of other sites. */
    @api requestStorageAccess = false;
    /** The name of the static resource that holds release/connect-streams-min.js of amazon-connect-streams. */
    @api streamsResource = 'amazonConnectStreams';

    label = labels.CcpSection;
    problem = null;
    notice = null;
    control = null;

    get permitted() {
        return Boolean(hasPermission);
    }

    renderedCallback() {
        this.panel = this.panel || this.refs.panel;
        this.take();
    }

    connectedCallback() {
        // An element that is moved is connected again but not rendered again.
        this.gone = false;
        this.refused = false;
        this.problem = null;
        this.take();
    }

    disconnectedCallback() {
        this.gone = true;
        waiting.delete(this);
        this.yieldToNext();
    }

    take() {
        if (this.gone || this.refused || !this.panel || holder === this || waiting.has(this)) {
            return;
        }
        if (!this.settings()) {
            return;
        }
        if (holder) {
            waiting.add(this);
            this.notice = labels.CcpElsewhere;
            return;
        }
        holder = this;
        this.notice = null;
        this.begin();
    }

    /** The options for Streams, or null with the reason shown why this panel does not open. */
    settings() {
        try {
            const { ccpUrl, instanceUrl, loginUrl, allowedHosts, requestStorageAccess } = this;
            const address = ccpAddress({ ccpUrl, instanceUrl, loginUrl, allowedHosts, requestStorageAccess });
            if (hasOpenCti(window)) {
                return this.refuse(labels.CcpOpenCti);
            }
            return address;
        } catch (e) {
            if (e instanceof AddressError) {
                return this.refuse(e.message);
            }
            throw e;
        }
    }

    refuse(reason) {
        this.refused = true;
        this.problem = reason;
        this.yieldToNext();
        return null;
    }

    async begin() {
        this.turn = (this.turn || 0) + 1;
        const { turn } = this;
        const over = () => holder !== this || turn !== this.turn;
        try {
            if (!window.connect || !window.connect.core) {
                await loadScript(this, `/resource/${this.streamsResource}`);
            }
            // Checked again, because a softphone may have appeared while the library was loading.
            const address = over() ? null : this.settings();
            if (!address) {
                return;
            }
            const { connect } = window;
            if (!isOpen(connect)) {
                this.open(connect, address);
            }
            this.watchSignIn(connect.core, over);
            // Called once the CCP has reported the logged-in user and their contacts.
            connect.agent((agent) => {
                if (!over() && !this.control) {
                    this.offer(connect, agent, over);
                }
            });
        } catch (e) {
            this.problem = fill(labels.CcpNotOpened, (e && e.message) || e);
        }
    }

    open(connect, address) {
        if (connect.core.initialized) {
            // The frame was removed without ending the library, which would go on reporting the old state.
            connect.core.terminate();
        }
        this.opened = true;
        this.restoreFrame = showFrameIn(connect.core, this.panel);
        connect.core.initCCP(this.panel, {
            ...address,
            loginPopup: true,
            loginPopupAutoClose: true,
            softphone: { allowFramedSoftphone: true }
        });
    }

    /** Shows why the supervisor is not signed in, as far as Streams reports it. */
    watchSignIn(core, over) {
        const say = (name, words) =>
            subscribe(core, name, () => {
                if (!over()) {
                    this.notice = words;
                }
            });
        // eslint-disable-next-line @lwc/lwc/no-async-operation
        const timer = setTimeout(() => {
            if (!over() && !this.control && !this.notice) {
                this.notice = this.requestStorageAccess ? labels.CcpNotSignedInStorage : labels.CcpNotSignedIn;
            }
        }, SIGN_IN_MS);
        this.subscriptions = [
            () => clearTimeout(timer),
            say('onAuthFail', labels.CcpSignInFailed),
            say('onAccessDenied', labels.CcpAccessDenied),
            say('onIframeRetriesExhausted', labels.CcpNotLoaded)
        ];
    }

    offer(connect, agent, over) {
        const backend = streamsBackend(connect);
        this.notice = null;
        this.control = new LegControl(backend);
        registerLegControl(this.control);
        // This page can act now, so it receives directives even if supervisorPresence is not on it.
        this.receiver = joinReceiver();
        const look = () => {
            if (!over() && this.receiver) {
                // The agent's data arrives, so an earlier sign-in problem is over.
                this.notice = this.microphoneNotice || null;
                this.receiver.setBusy(backend.monitors());
            }
        };
        look();
        this.subscriptions.push(
            subscribe(agent, 'onRefresh', look),
            subscribe(agent, 'onSoftphoneError', (error) => {
                if (!over() && errorType(error) === 'microphone_not_shared') {
                    this.microphoneNotice = labels.CcpNoMicrophone;
                    this.notice = labels.CcpNoMicrophone;
                }
            })
        );
    }

    /** Releases the CCP, if this instance holds it, and lets the next one open its own. */
    yieldToNext() {
        if (holder !== this) {
            return;
        }
        this.release();
        const [next] = waiting;
        if (next) {
            waiting.delete(next);
            next.take();
        }
    }

    release() {
        holder = null;
        (this.subscriptions || []).forEach((end) => end());
        this.subscriptions = [];
        this.microphoneNotice = null;
        this.notice = null;
        if (this.control) {
            // Another owner may have registered its own leg control since, which must stay.
            if (currentLegControl() === this.control) {
                registerLegControl(null);
            }
            this.control = null;
            this.receiver.leave();
            this.receiver = null;
        }
        if (this.opened) {
            this.opened = false;
            close(window.connect.core);
            this.restoreFrame();
            this.panel.replaceChildren();
        }
    }
}

function errorType(error) {
    return error && typeof error.getErrorType === 'function' ? error.getErrorType() : null;
}
