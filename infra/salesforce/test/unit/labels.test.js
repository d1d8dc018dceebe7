/** The words of the components: every label is shipped, used and filled, and no template has words of its own. */
import { fill, labels } from 'c/labels';
import { shippedLabels } from '../support/words';

const fs = require('fs');
const path = require('path');

const LWC = path.join(__dirname, '../../force-app/main/default/lwc');
const shipped = shippedLabels();
const nameOf = (fullName) => fullName.replace(/^Sidedoor_/, '').replace(/_/g, '');

function files(ending) {
    return fs
        .readdirSync(LWC, { recursive: true })
        .map(String)
        .filter((file) => file.endsWith(ending))
        .map((file) => ({ file, text: fs.readFileSync(path.join(LWC, file), 'utf8') }));
}

it('the module has exactly the shipped labels', () => {
    expect(Object.keys(labels).sort()).toEqual([...shipped.keys()].map(nameOf).sort());
    for (const [fullName, value] of shipped) {
        expect(labels[nameOf(fullName)]).toBe(value);
        expect(value.length).toBeLessThanOrEqual(1000);
    }
});

it('every label is used', () => {
    const used = [...files('.js'), ...files('.html')]
        .filter(({ file }) => file !== 'labels/labels.js')
        .map(({ text }) => text)
        .join('\n');
    for (const name of Object.keys(labels)) {
        expect({ name, used: new RegExp(`labels\\.${name}\\b`).test(used) }).toEqual({ name, used: true });
    }
});

it('every use of a label exists', () => {
    for (const { file, text } of [...files('.js'), ...files('.html')]) {
        for (const [, name] of text.matchAll(/\blabels\.([A-Z]\w*)/g)) {
            expect({ file, name, there: name in labels }).toEqual({ file, name, there: true });
        }
    }
});

it('no template has words of its own', () => {
    for (const { file, text } of files('.html')) {
        const words = text
            .replace(/<!--[^]*?-->/g, '')
            .replace(/<[^>]*>/g, ' ')
            .replace(/\{[^}]*\}|&nbsp;/g, ' ')
            .trim();
        expect({ file, words }).toEqual({ file, words: '' });
        expect({ file, titled: /\b(aria-label|title|label|alt)="/.test(text) }).toEqual({ file, titled: false });
    }
});

it('values are filled in, and a missing one leaves nothing behind', () => {
    expect(fill('{0} ± {1} ms ({0})', 'a', 0)).toBe('a ± 0 ms (a)');
    expect(fill('a {0}{1}', 'b')).toBe('a b');
});
