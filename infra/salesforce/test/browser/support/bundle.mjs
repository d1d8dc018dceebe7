/**
 * Compiles the unchanged Lightning components with LWC's own compiler into one script for the browser. test/browser/page/platform.js
 * replaces what the platform provides (Apex, empApi, record data, script loading).
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import lwc from '@lwc/rollup-plugin';
import { rollup } from 'rollup';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const LWC = path.join(ROOT, 'force-app/main/default/lwc');
const BUNDLES = ['legControl', 'directives', 'pageReceiver', 'supervisorPresence', 'supervisorCcp'];
const PLATFORM = path.join(ROOT, 'test/browser/page/platform.js');

/** Resolves the modules that only the platform has. */
const platform = {
    name: 'platform',
    resolveId(id) {
        return /^(@salesforce\/(apex|customPermission)\/|lightning\/)/.test(id) ? `\0${id}` : null;
    },
    load(id) {
        const apex = /^\0@salesforce\/apex\/Sidedoor(?:Controller|AgentCall)\.(\w+)$/.exec(id);
        if (apex) {
            return `import { apex } from ${JSON.stringify(PLATFORM)}; export default apex('${apex[1]}');`;
        }
        if (id.startsWith('\0@salesforce/customPermission/')) {
            // The user of this page is a supervisor; a unit test covers users without the permission.
            return 'export default true;';
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
    const modules = BUNDLES.map((name) => ({ name: `c/${name}`, path: path.join(LWC, name, `${name}.js`) }));
    const warnings = [];
    const built = await rollup({
        input: path.join(ROOT, 'test/browser/page/app.js'),
        plugins: [platform, lwc({ rootDir: LWC, modules: [...modules, { npm: '@lwc/engine-dom' }, { npm: 'lwc' }] })],
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
