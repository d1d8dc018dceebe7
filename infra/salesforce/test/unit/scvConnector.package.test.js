/**
 * The package as a partner installs it: imported by its name in plain Node.js, without a transformation, and bundled with webpack. The
 * child processes run test/support/partner/partner.mjs.
 */
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const run = promisify(execFile);
const ROOT = path.join(__dirname, '../..');
const PARTNER = path.join(ROOT, 'test/support/partner');
const BASES = {
    '3.6.2': (to) => fs.symlinkSync(path.join(ROOT, 'node_modules/@salesforce/scv-connector-base'), to, 'dir'),
    '4.8.1 (stand-in)': (to) => {
        fs.mkdirSync(to);
        fs.copyFileSync(path.join(ROOT, 'test/support/connectorBase4.js'), path.join(to, 'index.js'));
    }
};
const EXPECTED = {
    started: [true, 'customer-1'],
    ended: [true, ['ended']],
    capabilities: [true, true],
    error: 'x',
    requests: ['POST https://partner.example/sidedoor/v1/supervisions', 'POST https://partner.example/sidedoor/v1/supervisors/me/disconnect']
};

let folder;
beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sidedoor-partner-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

/** A partner's project with both packages in node_modules. Returns the path of its entry. */
function project(base) {
    const modules = path.join(folder, 'node_modules');
    fs.mkdirSync(path.join(modules, '@salesforce'), { recursive: true });
    fs.cpSync(path.join(ROOT, 'scv-connector'), path.join(modules, 'sidedoor-scv-connector'), { recursive: true });
    base(path.join(modules, '@salesforce/scv-connector-base'));
    fs.copyFileSync(path.join(PARTNER, 'partner.mjs'), path.join(folder, 'partner.mjs'));
    return path.join(folder, 'partner.mjs');
}

describe.each(Object.entries(BASES))('with scv-connector-base %s', (_version, base) => {
    it('plain Node.js imports and runs it', async () => {
        const { stdout } = await run(process.execPath, [project(base)]);
        expect(JSON.parse(stdout)).toEqual(EXPECTED);
    });

    it('webpack bundles it, and the bundle runs', async () => {
        const bundle = path.join(folder, 'bundle.mjs');
        await run(process.execPath, [path.join(PARTNER, 'bundle.mjs'), project(base), bundle]);
        fs.rmSync(path.join(folder, 'node_modules'), { recursive: true });
        const { stdout } = await run(process.execPath, [bundle]);
        expect(JSON.parse(stdout)).toEqual(EXPECTED);
    }, 30000);
});

it('has one public entry; other files cannot be imported', async () => {
    project(BASES['3.6.2']);
    const look = "import('sidedoor-scv-connector/supervision.js').catch(({ code }) => console.log(code))";
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', look], { cwd: folder });
    expect(stdout.trim()).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED');
    const { main, exports: entries, files } = JSON.parse(fs.readFileSync(path.join(ROOT, 'scv-connector/package.json'), 'utf8'));
    expect(entries['.']).toBe(main);
    expect(files).toEqual(['*.js']);
});
