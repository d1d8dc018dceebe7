/**
 * A minimal replacement for what Salesforce's platform provides to the components. Apex calls go to the test's server, which holds the
 * API keys.
 */

const USER = new URLSearchParams(window.location.search).get('user');

/** An imperative Apex method. Its errors have the shape of Lightning's. */
export function apex(method) {
    return async (params) => {
        const answer = await fetch(`/apex/${method}?user=${USER}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(params || {})
        });
        const text = await answer.text();
        if (!answer.ok) {
            // As with a real AuraHandledException, the message is the problem document of the API, as JSON.
            throw { status: 500, statusText: 'Server Error', body: { exceptionType: 'System.AuraHandledException', message: text } };
        }
        return JSON.parse(text);
    };
}

/** lightning/empApi over the test server's stream of Platform Events. */
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

/** lightning/uiRecordApi: a wire adapter without records, because the test pages set the contact themselves. */
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
        script.onerror = () => failed(new Error(`could not load ${url}`));
        document.head.appendChild(script);
    });
}
