/**
 * A simulated Contact Control Panel: the other end of the conduit of amazon-connect-streams, with the protocol of its source (2.28.2).
 * It acknowledges, sends the agent's snapshot (`agent::update`), and carries out API requests (`api_request` → `api_response`) on fake
 * Connect through the test's server, which logs them. Like the real one it carries out every request, including those that must not be
 * made.
 */
(function ccp() {
    const user = new URLSearchParams(window.location.search).get('user');
    const post = (event, data) => window.parent.postMessage({ event, data }, '*');
    let shown = '';

    async function server(path, body) {
        const answer = await fetch(`${path}?user=${user}`, {
            method: body ? 'POST' : 'GET',
            headers: body ? { 'content-type': 'application/json' } : {},
            body: body ? JSON.stringify(body) : undefined
        });
        const text = await answer.text();
        if (!answer.ok) {
            throw new Error(text);
        }
        return text ? JSON.parse(text) : null;
    }

    function contactOf({ kind, contactId, mode, state, agentThere }) {
        return kind === 'LEG'
            ? window.agentData.leg({ contactId, mode, state, agentThere })
            : window.agentData.customers({ contactId, state });
    }

    async function look() {
        const contacts = await server('/sim/contacts');
        const now = JSON.stringify(contacts);
        if (now === shown) {
            return;
        }
        shown = now;
        post('agent::update', window.agentData.agentData(contacts.map(contactOf), user));
        document.querySelector('#who').textContent = `${user}, ${contacts.length} contact(s)`;
        const list = document.querySelector('#contacts');
        list.replaceChildren(
            ...contacts.map(({ kind, contactId, mode, state, agentThere }) => {
                const item = document.createElement('li');
                const what = kind === 'LEG' ? `MONITOR leg, ${mode}${agentThere ? '' : ', agent gone'}` : "customer's contact";
                item.innerHTML = `<b>${what}</b>: ${state}<br><small>${contactId}</small>`;
                return item;
            })
        );
    }

    window.addEventListener('message', async ({ source, data }) => {
        if (source !== window.parent || !data || !data.event) {
            return;
        }
        if (data.event === 'synchronize') {
            post('acknowledge', { id: 'simulated-ccp' });
        } else if (data.event === 'api_request') {
            const { requestId, method, params } = data.data;
            try {
                const answer = await server('/sim/api', { method, params });
                await look();
                post('api_response', { event: 'api_response', requestId, data: answer || {}, err: null });
            } catch (e) {
                post('api_response', { event: 'api_response', requestId, data: {}, err: { type: 'error', message: e.message } });
            }
        }
    });

    post('acknowledge', { id: 'simulated-ccp' });
    const again = () => look().catch(() => {}).finally(() => setTimeout(again, 100));
    // The first snapshot follows the acknowledgement.
    setTimeout(again, 50);
})();
