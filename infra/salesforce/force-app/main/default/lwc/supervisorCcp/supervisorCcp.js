/**
 * The supervisor's Contact Control Panel in a Lightning page, by amazon-connect-streams: whoever holds the CCP can carry
 * directives out. Needs the library as a static resource and Connect's origin as a trusted URL (frame-src); see
 * docs/salesforce.md. In a native Service Cloud Voice org the CCP is Salesforce's own, and this component is not used.
 */
import { LightningElement, api } from 'lwc';
import { loadScript } from 'lightning/platformResourceLoader';
import { LegControl, registerLegControl, streamsBackend } from 'c/legControl';

export default class SupervisorCcp extends LightningElement {
    /** Where the CCP is: https://….my.connect.aws/ccp-v2/ */
    @api ccpUrl;
    /** The name of the static resource that holds release/connect-streams-min.js of amazon-connect-streams. */
    @api streamsResource = 'amazonConnectStreams';

    problem = null;
    begun = false;
    control = null;

    renderedCallback() {
        if (!this.begun && this.ccpUrl) {
            this.begun = true;
            this.begin();
        }
    }

    disconnectedCallback() {
        if (this.control) {
            registerLegControl(null);
            this.control = null;
        }
    }

    async begin() {
        try {
            if (!window.connect || !window.connect.core) {
                await loadScript(this, `/resource/${this.streamsResource}`);
            }
            const { connect } = window;
            if (!connect.core.initialized) {
                connect.core.initCCP(this.refs.panel, {
                    ccpUrl: this.ccpUrl,
                    loginPopup: true,
                    loginPopupAutoClose: true,
                    softphone: { allowFramedSoftphone: true },
                    storageAccess: { canRequest: false }
                });
            }
            // Told once the CCP has said who is logged in and what they have.
            connect.agent(() => {
                if (this.isConnected !== false && !this.control) {
                    this.control = new LegControl(streamsBackend(connect));
                    registerLegControl(this.control);
                }
            });
        } catch (e) {
            this.problem = `The Contact Control Panel could not be opened: ${(e && e.message) || e}`;
        }
    }
}
