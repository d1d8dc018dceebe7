// The template of the trusted URL for supervisorCcp: it matches Salesforce's WSDL, allows a frame and the microphone and nothing else,
// and has no address until an administrator enters one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT, all, filesBelow, parseXml, text } from '../lib/project.js';
import { faults, readTypes } from '../lib/wsdl.js';

const FOLDER = join(PROJECT, 'optional/ccp');
const SITE = 'cspTrustedSites/Sidedoor_Amazon_Connect.cspTrustedSite';
const read = (path) => readFileSync(join(FOLDER, path), 'utf8');

test('the trusted URL matches Salesforce’s WSDL and is in the manifest', () => {
  assert.deepEqual(filesBelow(FOLDER), ['README.md', SITE, 'package.xml'].sort());
  assert.deepEqual(faults(parseXml(read(SITE)), readTypes()), []);
  const manifest = parseXml(read('package.xml'));
  assert.deepEqual(
    all(manifest, 'types').map((type) => [text(type, 'name'), text(type, 'members')]),
    [['CspTrustedSite', 'Sidedoor_Amazon_Connect']],
  );
});

test('it allows a frame and the microphone in Lightning, nothing else', () => {
  const site = parseXml(read(SITE));
  const allowed = site.children.filter(({ tag, text: value }) => /^(isApplicable|canAccess)/.test(tag) && value === 'true');
  assert.deepEqual(allowed.map(({ tag }) => tag), ['canAccessMicrophone', 'isApplicableToFrameSrc']);
  assert.equal(text(site, 'context'), 'LEX');
});

test('the address is a placeholder, and the README replaces exactly it', () => {
  const placeholder = text(parseXml(read(SITE)), 'endpointUrl');
  assert.throws(() => new URL(placeholder));
  const [, replaced, address] = /s#([A-Z_]+)#(\S+)#'/.exec(read('README.md'));
  assert.equal(replaced, placeholder);
  assert.equal(text(parseXml(read(SITE).replace(replaced, address)), 'endpointUrl'), 'https://acme.my.connect.aws');
});
