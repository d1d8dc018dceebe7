/**
 * One agent of the board with their live contacts. It is a component of its own, so that a refresh renders again only the agents that
 * have changed: the board gives the same object for an agent that has not. The buttons are native ones with the classes of SLDS,
 * because two hundred rows of base components would take seconds to render, and a disabled base button loses the focus.
 */
import { LightningElement, api } from 'lwc';
import { labels } from 'c/labels';

export default class BoardRow extends LightningElement {
    /** The row, as boardView.js makes it. */
    @api row;

    labels = labels;

    listen({ currentTarget }) {
        if (currentTarget.getAttribute('aria-disabled') !== 'true') {
            this.send('listen', { contactId: currentTarget.value, agentKey: this.row.key });
        }
    }

    leave({ currentTarget }) {
        if (currentTarget.getAttribute('aria-disabled') !== 'true') {
            this.send('leave', { supervisionId: currentTarget.value });
        }
    }

    send(name, detail) {
        this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
    }
}
