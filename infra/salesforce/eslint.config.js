// ESLint's recommended rules, and those for LWC in the code that runs on the platform.
const js = require('@eslint/js');
const lwc = require('@lwc/eslint-plugin-lwc');
const parser = require('@babel/eslint-parser');

const names = (text) => Object.fromEntries(text.split(' ').map((name) => [name, 'readonly']));
const BROWSER = names(
    'window document navigator IntersectionObserver MutationObserver crypto setTimeout clearTimeout URL URLSearchParams EventSource fetch AbortSignal CSSStyleSheet console MessageEvent CustomEvent Event'
);
const NODE = names('require module process Buffer __dirname global globalThis console setTimeout clearTimeout fetch URL URLSearchParams AbortSignal');
const JEST = names('jest describe it test expect beforeEach afterEach beforeAll afterAll');

const babel = (sourceType) => ({
    parser,
    parserOptions: {
        requireConfigFile: false,
        sourceType,
        babelOptions: { parserOpts: { plugins: ['classProperties', ['decorators', { decoratorsBeforeExport: false }]] } }
    }
});

module.exports = [
    { ignores: ['node_modules/**', 'tools-apex/**', 'scripts/**'] },
    js.configs.recommended,
    { linterOptions: { reportUnusedDisableDirectives: 'error' }, rules: { eqeqeq: 'error', 'no-var': 'error', 'prefer-const': 'error' } },
    {
        files: ['force-app/**/*.js'],
        languageOptions: { ...babel('module'), globals: BROWSER },
        plugins: { '@lwc/lwc': lwc },
        rules: {
            '@lwc/lwc/consistent-component-name': 'error',
            '@lwc/lwc/no-api-reassignments': 'error',
            '@lwc/lwc/no-async-operation': 'error',
            '@lwc/lwc/no-attributes-during-construction': 'error',
            '@lwc/lwc/no-deprecated': 'error',
            '@lwc/lwc/no-disallowed-lwc-imports': 'error',
            '@lwc/lwc/no-document-query': 'error',
            '@lwc/lwc/no-inner-html': 'error',
            '@lwc/lwc/no-leaky-event-listeners': 'error',
            '@lwc/lwc/no-template-children': 'error',
            '@lwc/lwc/prefer-custom-event': 'error',
            '@lwc/lwc/valid-api': 'error',
            '@lwc/lwc/valid-graphql-wire-adapter-callback-parameters': 'error',
            '@lwc/lwc/valid-track': 'error',
            '@lwc/lwc/valid-wire': 'error'
        }
    },
    { files: ['scv-connector/**/*.js'], languageOptions: { sourceType: 'module', globals: BROWSER } },
    { files: ['test/unit/**', 'test/support/**'], languageOptions: { ...babel('module'), globals: { ...BROWSER, ...NODE, ...JEST } } },
    { files: ['test/browser/support/**', 'test/browser/*.mjs', 'test/support/partner/**'], languageOptions: { sourceType: 'module', globals: { ...NODE, window: 'readonly', document: 'readonly', PerformanceObserver: 'readonly' } } },
    { files: ['test/browser/page/*.js'], languageOptions: { sourceType: 'module', globals: BROWSER } },
    { files: ['test/browser/page/lightning/**/*.js'], languageOptions: { ...babel('module'), globals: BROWSER } },
    { files: ['*.config.js'], languageOptions: { sourceType: 'commonjs', globals: NODE } }
];
