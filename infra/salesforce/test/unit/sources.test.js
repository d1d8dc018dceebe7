/**
 * What the sources must not contain. The calls that end anything but the supervisor's own connection do not occur in any file that
 * runs in a browser, which a text search proves; and the call that ends the own connection occurs in one file.
 */
const fs = require('fs');
const path = require('path');

const ROOT = path.join(__dirname, '../..');

function sources(folder) {
    return fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
        const inside = path.join(folder, entry.name);
        if (entry.isDirectory()) {
            return entry.name === 'node_modules' ? [] : sources(inside);
        }
        return /\.(js|html)$/.test(entry.name) ? [{ file: inside, text: fs.readFileSync(path.join(ROOT, inside), 'utf8') }] : [];
    });
}

const ALL = [...sources('force-app/main/default/lwc'), ...sources('scv-connector')];

it('the search covers everything that runs in a browser', () => {
    expect(ALL.map(({ file }) => path.basename(file))).toEqual(
        expect.arrayContaining(['legControl.js', 'streamsBackend.js', 'contactBackend.js', 'supervisorPresence.js', 'directives.js'])
    );
});

it.each([
    ['the initial connection', /getInitialConnection|getActiveInitialConnection|isInitialConnection/],
    ['all active connections', /getActiveConnections|getThirdPartyConnections|getSingleActiveThirdPartyConnection/],
    ['the deprecated end of a contact', /contact\s*\.\s*destroy\s*\(|destroyContact/],
    ['the end of a contact as a whole', /\.complete\s*\(|completeContact|\.reject\s*\(/],
    ['the end of another participant', /disconnectParticipant/],
    ['the end of a call, as a label', /End call<|>\s*End Call/i],
    ["the vendor's raw calls", /ClientMethods|getClient\s*\(|sendUpstream/]
])('no source contains %s', (_what, pattern) => {
    // `Promise.reject` is not a contact's `reject`.
    const spelled = ALL.filter(({ text }) => pattern.test(text.replace(/Promise\.reject\(/g, '')));
    expect(spelled.map(({ file }) => file)).toEqual([]);
});

it('only one place ends a connection: the own one', () => {
    const ending = ALL.filter(({ text }) => /\.destroy\s*\(/.test(text));
    expect(ending.map(({ file }) => path.basename(file))).toEqual(['streamsBackend.js']);
    expect(ending[0].text.match(/\.destroy\s*\(/g)).toHaveLength(1);
    expect(ending[0].text).toContain('contact.getAgentConnection().destroy(callbacks)');
    const selves = ALL.filter(({ text }) => /\.disconnectSelf\s*\(/.test(text));
    expect(selves.map(({ file }) => path.basename(file))).toEqual(['contactBackend.js']);
    expect(selves[0].text.match(/client\.disconnectSelf\s*\(/g)).toHaveLength(1);
});

it('every file is short and starts with a description', () => {
    for (const { file, text } of ALL.filter((one) => one.file.endsWith('.js'))) {
        expect({ file, lines: text.split('\n').length <= 480 }).toEqual({ file, lines: true });
        expect({ file, says: text.startsWith('/**') }).toEqual({ file, says: true });
    }
});

it('every bundle has API version 62.0 and the right targets', () => {
    const bundles = fs.readdirSync(path.join(ROOT, 'force-app/main/default/lwc'));
    for (const bundle of bundles) {
        const meta = fs.readFileSync(path.join(ROOT, `force-app/main/default/lwc/${bundle}/${bundle}.js-meta.xml`), 'utf8');
        expect(meta).toContain('<apiVersion>62.0</apiVersion>');
        const targets = [...meta.matchAll(/<target>(\w+)<\/target>/g)].map(([, target]) => target);
        const wanted = {
            supervisorPresence: ['lightning__RecordPage'],
            supervisorBoard: ['lightning__AppPage', 'lightning__HomePage', 'lightning__Tab', 'lightning__UtilityBar'],
            supervisionNotice: ['lightning__RecordPage'],
            supervisorCcp: ['lightning__UtilityBar']
        };
        expect({ bundle, targets }).toEqual({ bundle, targets: wanted[bundle] || [] });
    }
});
