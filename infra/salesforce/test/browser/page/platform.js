/**
 * What Salesforce's platform gives a component, as far as these need it: Apex is the test's server, which holds the keys; the
 * rest is as little as there is.
 */

const USER = new URLSearchParams(window.location.search).get('user');

/** An imperative Apex method: its errors look as Lightning's do. */
export function apex(method) {
    return async (params) => {
        const answer = await fetch(`/apex/${method}?user=${USER}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(params || {})
        });
        const text = await answer.text();
        if (!answer.ok) {
            // AuraHandledException: the message is the problem as JSON.
            throw { status: 500, statusText: 'Server Error', body: { exceptionType: 'System.AuraHandledException', message: text } };
        }
        return JSON.parse(text);
    };
}

/** lightning/empApi over the test's own stream of Platform Events. */
export async function subscribe(channel, _replayId, onMessage) {
    const source = new EventSource(`/events?channel=${encodeURIComponent(channel)}`);
    source.onmessage = ({ data }) => onMessage({ channel, data: JSON.parse(data) });
    return { channel, source };
}

export function unsubscribe(subscription, done) {
    subscription.source.close();
    done();
}

export function onError() {}

/** lightning/uiRecordApi: a wire adapter that has no record; the pages name the contact themselves. */
export class getRecord {
    connect() {}
    update() {}
    disconnect() {}
}

/** lightning/platformResourceLoader */
export function loadScript(_component, url) {
    return new Promise((done, failed) => {
        const script = document.createElement('script');
        script.src = url;
        script.onload = done;
        script.onerror = () => failed(new Error(`${url} could not be loaded`));
        document.head.appendChild(script);
    });
}
