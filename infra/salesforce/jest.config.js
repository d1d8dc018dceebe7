// Jest for the Lightning components and for the plain modules (scv-connector).
const { jestConfig } = require('@salesforce/sfdx-lwc-jest/config');

module.exports = {
    ...jestConfig,
    setupFiles: [...(jestConfig.setupFiles || []), '<rootDir>/test/support/words.js'],
    testMatch: ['<rootDir>/test/unit/**/*.test.js'],
    transformIgnorePatterns: [
        '/node_modules/(?!(.*@lwc/state)|(.*@salesforce/sfdx-lwc-jest/src/lightning-stubs)|(@salesforce/scv-connector-base)/)'
    ]
};
