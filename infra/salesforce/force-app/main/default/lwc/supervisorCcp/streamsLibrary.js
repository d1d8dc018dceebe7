/**
 * What the panel needs from amazon-connect-streams beyond its documented functions (checked against the source of 2.28.2).
 */

/** Whether the page has opened a CCP whose frame is still in the document. */
export function isOpen({ core }) {
    const frame = core.initialized && typeof core._getCCPIframe === 'function' ? core._getCCPIframe() : null;
    return Boolean(frame) && frame.isConnected;
}

/**
 * Lets the library find its frame in the panel. It searches the document, and the search does not reach into a component. Without the
 * frame, requests for storage access fail, and while the supervisor is not signed in every reload adds a frame beside the last one.
 *
 * @returns {Function} undoes it
 */
export function showFrameIn(core, panel) {
    const original = core._getCCPIframe;
    core._getCCPIframe = () => panel.querySelector('iframe');
    return () => {
        core._getCCPIframe = original;
    };
}

/**
 * Ends the library. Its timers go on after that: the ones that wait for the login would reload the frame, and the one that sends metrics
 * a second after opening reads the conduit (`upstream`) and throws an error in the page if there is none. So the first are stopped,
 * and the old conduit, which no longer leads anywhere, is put back.
 */
export function close(core) {
    const { upstream } = core;
    clearTimeout(core.ccpLoadTimeoutInstance);
    clearTimeout(core.iframeRefreshTimeout);
    core.ccpLoadTimeoutInstance = null;
    core.iframeRefreshTimeout = null;
    core.terminate();
    core.upstream = upstream;
}

/** Subscribes to an event of the library, if this version has it. Returns a function that ends the subscription. */
export function subscribe(owner, name, listener) {
    const subscription = typeof owner[name] === 'function' ? owner[name](listener) : null;
    return () => {
        if (subscription && typeof subscription.unsubscribe === 'function') {
            subscription.unsubscribe();
        }
    };
}
