/**
 * Requests to Sidedoor over fetch. Never put a Sidedoor API key into a page: use the URL of the partner's own back end, which adds
 * the credential, or send a token of the supervisor in the headers.
 */

/** A request that failed: Sidedoor's problem, or a response that is not from Sidedoor. */
export class SidedoorError extends Error {
    constructor({ code, title, detail, status }) {
        super(detail || title || code || 'the request failed');
        this.name = 'SidedoorError';
        /** Sidedoor's error code, or null if the response is not Sidedoor's. */
        this.code = code || null;
        /** The base connector reads the error's type from here. */
        this.type = this.code;
        this.status = status || 0;
    }
}

/** The timeout for one request in ms. Sidedoor answers within 8 s. */
const TIMEOUT_MS = 10000;

/**
 * @param {Function} fetcher fetch, or a function that behaves like it
 * @param {string} url the base URL, to which /v1/… is appended
 * @param {Function} [headers] returns additional headers for each request, such as Authorization
 */
export function overFetch(fetcher, url, headers = () => ({})) {
    const base = url.replace(/\/+$/, '');
    return async function send(method, path, { body, idempotencyKey } = {}) {
        const sent = { Accept: 'application/json', ...(await headers()) };
        if (body !== undefined) {
            sent['Content-Type'] = 'application/json';
        }
        if (idempotencyKey) {
            sent['Idempotency-Key'] = idempotencyKey;
        }
        const signal = typeof AbortSignal !== 'undefined' && AbortSignal.timeout ? AbortSignal.timeout(TIMEOUT_MS) : undefined;
        const answer = await fetcher(`${base}${path}`, {
            method,
            headers: sent,
            body: body === undefined ? undefined : JSON.stringify(body),
            signal
        });
        let read;
        try {
            read = await answer.json();
        } catch {
            throw new SidedoorError({ status: answer.status, detail: 'the response is not JSON from Sidedoor' });
        }
        if (!answer.ok) {
            throw new SidedoorError({ ...read, status: answer.status });
        }
        return read;
    };
}
