/**
 * Compiles the unchanged Lightning components with LWC's own compiler into one script for the browser. test/browser/page/platform.js
 * and test/browser/page/lightning replace what the platform provides (Apex, empApi, record data, script loading, base components). As on
 * the platform the shadow is synthetic, so that the style sheet of SLDS applies inside the components.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import lwc from '@lwc/rollup-plugin';
import { rollup } from 'rollup';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const LWC = path.join(ROOT, 'force-app/main/default/lwc');
const BUNDLES = [
    'labels', 'legControl', 'directives', 'pageReceiver', 'supervision', 'riskNotice', 'supervisorPresence', 'boardRow', 'supervisorBoard',
    'supervisionNotice', 'supervisorCcp'
];
const BASE = ['input', 'combobox'];
const { shippedLabels } = createRequire(import.meta.url)(path.join(ROOT, 'test/support/words.js'));
const LABELS = shippedLabels();
const PLATFORM = path.join(ROOT, 'test/browser/page/platform.js');

/** Resolves the modules that only the platform has. */
const platform = {
    name: 'platform',
    resolveId(id) {
        if (BASE.some((name) => id === `lightning/${name}`)) {
            return null;
        }
        return /^(@salesforce\/(apex|customPermission|label|i18n|user)\/|lightning\/)/.test(id) ? `\0${id}` : null;
    },
    load(id) {
        const apex = /^\0@salesforce\/apex\/Sidedoor\w+\.(\w+)$/.exec(id);
        if (apex) {
            return `import { apex } from ${JSON.stringify(PLATFORM)}; export default apex('${apex[1]}');`;
        }
        if (id.startsWith('\0@salesforce/customPermission/')) {
            // The user of this page is a supervisor, and an operator if the test says so; a unit test covers users without permissions.
            const asked = id.endsWith('Sidedoor_Operate') ? "new URLSearchParams(window.location.search).get('operator') === 'yes'" : 'true';
            return `export default ${asked};`;
        }
        const label = /^\0@salesforce\/label\/c\.(\w+)$/.exec(id);
        if (label) {
            return `export default ${JSON.stringify(LABELS.get(label[1]))};`;
        }
        const setting = { '\0@salesforce/i18n/locale': 'en-GB', '\0@salesforce/i18n/timeZone': 'UTC', '\0@salesforce/user/Id': '005000000000001AAA' }[id];
        if (setting) {
            return `export default ${JSON.stringify(setting)};`;
        }
        const lightning = /^\0lightning\/(\w+)$/.exec(id);
        if (lightning) {
            const names = {
                empApi: ['subscribe', 'unsubscribe', 'onError'],
                uiRecordApi: ['getRecord'],
                platformResourceLoader: ['loadScript']
            }[lightning[1]];
            return `export { ${names.join(', ')} } from ${JSON.stringify(PLATFORM)};`;
        }
        return null;
    }
};

export async function bundle() {
    const modules = [
        ...BUNDLES.map((name) => ({ name: `c/${name}`, path: path.join(LWC, name, `${name}.js`) })),
        ...BASE.map((name) => ({ name: `lightning/${name}`, path: path.join(ROOT, 'test/browser/page/lightning', name, `${name}.js`) }))
    ];
    const warnings = [];
    const built = await rollup({
        input: path.join(ROOT, 'test/browser/page/app.js'),
        plugins: [platform, lwc({ rootDir: LWC, modules: [...modules, { npm: '@lwc/engine-dom' }, { npm: '@lwc/synthetic-shadow' }, { npm: 'lwc' }] })],
        onwarn: (warning) => warnings.push(warning.message)
    });
    // LWC's engine reads NODE_ENV.
    const intro = "const process = { env: { NODE_ENV: 'production' } };";
    const { output } = await built.generate({ format: 'iife', name: 'app', intro });
    await built.close();
    if (warnings.length > 0) {
        throw new Error(`the bundle has warnings: ${warnings.join('; ')}`);
    }
    return output[0].code;
}
