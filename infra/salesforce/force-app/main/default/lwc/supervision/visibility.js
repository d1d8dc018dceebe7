/**
 * Whether the user can see a component: its browser tab is in front, and the component is on the screen. In a console app the other
 * workspace tabs stay in the document, so the browser tab alone is not enough. Nothing that only serves to show something polls while
 * hidden.
 */

/**
 * Watches an element. Without IntersectionObserver only the browser tab counts.
 *
 * @param {Element} element
 * @param {Function} onChange called with true or false on each change
 * @returns {{visible: boolean, stop: Function}}
 */
export function watchVisibility(element, onChange) {
    let onScreen = true;
    let was = isShown(onScreen);
    const look = () => {
        const is = isShown(onScreen);
        if (is !== was) {
            was = is;
            onChange(is);
        }
    };
    document.addEventListener('visibilitychange', look);
    let observer = null;
    if (typeof IntersectionObserver === 'function') {
        observer = new IntersectionObserver((entries) => {
            onScreen = entries[entries.length - 1].isIntersecting;
            look();
        });
        observer.observe(element);
    }
    return {
        get visible() {
            return was;
        },
        stop() {
            document.removeEventListener('visibilitychange', look);
            if (observer) {
                observer.disconnect();
            }
        }
    };
}

function isShown(onScreen) {
    return onScreen && document.visibilityState !== 'hidden';
}
