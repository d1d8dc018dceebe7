/**
 * Gives the components the shipped texts of the custom labels, and a fixed locale and time zone, in place of the placeholders of
 * Salesforce's jest preset. Runs before each file of tests.
 */
const fs = require('fs');
const path = require('path');

const FILE = path.join(__dirname, '../../force-app/main/default/labels/CustomLabels.labels-meta.xml');
const plain = (xml) => xml.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

/** The shipped labels: Map of full name → text. */
function shippedLabels() {
    const text = fs.readFileSync(FILE, 'utf8');
    const found = text.matchAll(/<fullName>(\w+)<\/fullName>[^]*?<value>([^<]*)<\/value>/g);
    return new Map([...found].map(([, name, value]) => [name, plain(value)]));
}

if (typeof jest !== 'undefined') {
    for (const [name, value] of shippedLabels()) {
        jest.doMock(`@salesforce/label/c.${name}`, () => ({ __esModule: true, default: value }), { virtual: true });
    }
    jest.doMock('@salesforce/i18n/locale', () => ({ __esModule: true, default: 'en-GB' }), { virtual: true });
    jest.doMock('@salesforce/i18n/timeZone', () => ({ __esModule: true, default: 'UTC' }), { virtual: true });
}

module.exports = { shippedLabels };
