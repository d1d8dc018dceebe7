/** A fake of Web Locks, shared by all tabs of a browser. `free` releases all of them. */
function locksOfABrowser() {
    const held = new Set();
    const requested = [];
    return {
        requested,
        free: () => held.clear(),
        async request(name, _options, f) {
            requested.push(name);
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
