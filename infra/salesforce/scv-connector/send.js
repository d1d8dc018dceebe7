/**
 * Requests to Sidedoor by anything like fetch. No key of Sidedoor's belongs into a page: the URL is of the partner's own back end,
 * which adds the credential, or the headers carry a token of the supervisor's own.
 */

/** What Sidedoor answered instead of what was asked for. */
export class SidedoorError extends Error {
    constructor({ code, title, detail, status }) {
        super(detail || title || code || 'the request failed');
        this.name = 'SidedoorError';
        /** A stable word; null where nobody knows whether the request arrived. */
        this.code = code || null;
        /** What the base connector takes for the error's type. */
        this.type = this.code;
        this.status = status || 0;
    }
}

/** How long one answer may take; Sidedoor answers within 8 s. */
const TIMEOUT_MS = 10000;

/**
 * @param {Function} fetcher fetch, or what behaves like it
 * @param {string} url what /v1/… is appended to
 * @param {Function} [headers] gives further headers for each request, such as Authorization
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
            throw new SidedoorError({ status: answer.status, detail: 'the answer is not Sidedoor’s' });
        }
        if (!answer.ok) {
            throw new SidedoorError({ ...read, status: answer.status });
        }
        return read;
    };
}
