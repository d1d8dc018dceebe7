/**
 * The supervisor's Contact Control Panel in the utility bar, by amazon-connect-streams: whoever holds the CCP can carry
 * directives out, and receives them. Needs the library as a static resource and Connect's origin as a trusted URL (frame-src);
 * see docs/salesforce.md. In a native Service Cloud Voice org the CCP is Salesforce's own, and this component is not used.
 *
 * In the utility bar only: there it stays while the supervisor goes from record to record. On a record page it would be taken
 * away with the page, and the supervisor's line with it.
 */
import { LightningElement, api } from 'lwc';
import { loadScript } from 'lightning/platformResourceLoader';
import hasPermission from '@salesforce/customPermission/Sidedoor_Supervise';
import { currentLegControl, LegControl, registerLegControl, streamsBackend } from 'c/legControl';
import { joinReceiver } from 'c/pageReceiver';

/** The instance that holds this page's CCP, and those that would if it went: Streams can be open once in a page. */
let holder = null;
const waiting = new Set();

export default class SupervisorCcp extends LightningElement {
    /** Where the CCP is: https://….my.connect.aws/ccp-v2/ */
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
        // Put back where it was not rendered anew.
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
                    // Somebody took its frame away and left the library as it was: it would tell what it knew then.
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
            // Told once the CCP has said who is logged in and what they have.
            connect.agent((agent) => {
                if (!over() && !this.control) {
                    this.offer(connect, agent, over);
                }
            });
        } catch (e) {
            this.problem = `The Contact Control Panel could not be opened: ${(e && e.message) || e}`;
        }
    }

    offer(connect, agent, over) {
        const backend = streamsBackend(connect);
        this.control = new LegControl(backend);
        registerLegControl(this.control);
        // Directives come to whoever can act, whether or not a component of a record's is on the page.
        this.receiver = joinReceiver();
        const look = () => !over() && this.receiver && this.receiver.setBusy(backend.monitors());
        look();
        agent.onRefresh(look);
    }

    /** Gives everything back, so that the next one begins with a CCP of its own. */
    release() {
        holder = null;
        if (this.control) {
            // Another may have come to hold the CCP since: that one's is not ours to take.
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
 * Ends the library's work. Its own timers outlive that: the one that tells its metrics a second after it opened asks for the
 * conduit and throws where there is none, in a page that has nothing to do with it. It keeps the old one, which leads nowhere.
 * (Checked against Streams 2.28.2.)
 */
function close(core) {
    const { upstream } = core;
    core.terminate();
    core.upstream = upstream;
}

/** Whether the page itself has opened a CCP, whose frame still is in the document. (Checked against Streams 2.28.2.) */
function isOpen({ core }) {
    const frame = core.initialized && typeof core._getCCPIframe === 'function' ? core._getCCPIframe() : null;
    return Boolean(frame) && frame.isConnected;
}
