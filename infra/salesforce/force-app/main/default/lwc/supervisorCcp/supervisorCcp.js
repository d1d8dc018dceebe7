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
import { currentLegControl, LegControl, registerLegControl, streamsBackend } from 'c/legControl';
import { joinReceiver } from 'c/pageReceiver';

/** The instance that holds this page's CCP, and those that wait for it, because Streams can be open only once in a page. */
let holder = null;
const waiting = new Set();

export default class SupervisorCcp extends LightningElement {
    /** The address of the CCP: https://….my.connect.aws/ccp-v2/ */
    @api ccpUrl;
    /** The name of the static resource that holds release/connect-streams-min.js of amazon-connect-streams. */
    @api streamsResource = 'amazonConnectStreams';

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
        this.take();
    }

    disconnectedCallback() {
        this.gone = true;
        waiting.delete(this);
        if (holder === this) {
            this.release();
            const [next] = waiting;
            if (next) {
                waiting.delete(next);
                next.take();
            }
        }
    }

    take() {
        if (this.gone || !this.panel || !this.ccpUrl || holder === this || waiting.has(this)) {
            return;
        }
        if (holder) {
            waiting.add(this);
            this.notice = 'The Contact Control Panel is open elsewhere on this page.';
            return;
        }
        holder = this;
        this.notice = null;
        this.begin();
    }

    async begin() {
        this.turn = (this.turn || 0) + 1;
        const { turn } = this;
        const over = () => holder !== this || turn !== this.turn;
        try {
            if (!window.connect || !window.connect.core) {
                await loadScript(this, `/resource/${this.streamsResource}`);
            }
            if (over()) {
                return;
            }
            const { connect } = window;
            if (!isOpen(connect)) {
                if (connect.core.initialized) {
                    // The frame was removed without ending the library, which would go on reporting the old state.
                    connect.core.terminate();
                }
                this.opened = true;
                connect.core.initCCP(this.panel, {
                    ccpUrl: this.ccpUrl,
                    loginPopup: true,
                    loginPopupAutoClose: true,
                    softphone: { allowFramedSoftphone: true },
                    storageAccess: { canRequest: false }
                });
            }
            // Called once the CCP has reported the logged-in user and their contacts.
            connect.agent((agent) => {
                if (!over() && !this.control) {
                    this.offer(connect, agent, over);
                }
            });
        } catch (e) {
            this.problem = `Could not open the Contact Control Panel: ${(e && e.message) || e}`;
        }
    }

    offer(connect, agent, over) {
        const backend = streamsBackend(connect);
        this.control = new LegControl(backend);
        registerLegControl(this.control);
        // This page can act now, so it receives directives even if supervisorPresence is not on it.
        this.receiver = joinReceiver();
        const look = () => !over() && this.receiver && this.receiver.setBusy(backend.monitors());
        look();
        agent.onRefresh(look);
    }

    /** Releases the CCP, so that the next instance starts with one of its own. */
    release() {
        holder = null;
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
            this.panel.replaceChildren();
        }
    }
}

/**
 * Ends the library. Its timers go on after that: the one that sends metrics a second after opening reads the conduit (`upstream`) and
 * throws an error in the page if there is none. So the old conduit, which no longer leads anywhere, is put back. (Checked against
 * Streams 2.28.2.)
 */
function close(core) {
    const { upstream } = core;
    core.terminate();
    core.upstream = upstream;
}

/** Whether the page has opened a CCP whose frame is still in the document. (Checked against Streams 2.28.2.) */
function isOpen({ core }) {
    const frame = core.initialized && typeof core._getCCPIframe === 'function' ? core._getCCPIframe() : null;
    return Boolean(frame) && frame.isConnected;
}
