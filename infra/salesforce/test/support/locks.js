/** Web Locks as a browser keeps them for all its tabs. */
function locksOfABrowser() {
    const held = new Set();
    const asked = [];
    return {
        asked,
        free: () => held.clear(),
        async request(name, _options, f) {
            asked.push(name);
            if (held.has(name)) {
                return f(null);
            }
            held.add(name);
            try {
                return await f({ name });
            } finally {
                held.delete(name);
            }
        }
    };
}

module.exports = { locksOfABrowser };
