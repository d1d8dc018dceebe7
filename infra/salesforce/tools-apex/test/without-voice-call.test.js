// The project for an org without VoiceCall: no file names it, nothing else is missing, and the CLI's library accepts it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PROJECT, all, filesBelow, parseXml, text, xmlFault } from '../lib/project.js';
import { faults, readTypes } from '../lib/wsdl.js';

process.env.SF_DISABLE_LOG_FILE = 'true';
const require = createRequire(import.meta.url);
const SCRIPT = join(PROJECT, 'scripts/without-voice-call.mjs');
const SOURCES = 'force-app/main/default';
const FIELD = `${SOURCES}/objects/VoiceCallParticipant__c/fields/Voice_Call__c.field-meta.xml`;
const SET = `${SOURCES}/permissionsets/Sidedoor_Voice_Calls.permissionset-meta.xml`;
const ROOM = mkdtempSync(join(tmpdir(), 'sidedoor-without-'));
const MADE = join(ROOM, 'project');

const run = (...words) => spawnSync(process.execPath, [SCRIPT, ...words], { encoding: 'utf8' });
const read = (folder, path) => readFileSync(join(folder, path), 'utf8');
const original = () => filesBelow(PROJECT).filter((path) => /^(force-app|manifest)\//.test(path));

before(() => {
  const done = run(MADE);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /voice_call = ""/);
});
after(() => rmSync(ROOM, { recursive: true }));

test('only the lookup and the permission set are missing', () => {
  const made = filesBelow(MADE).filter((path) => /^(force-app|manifest)\//.test(path));
  assert.deepEqual(made, original().filter((path) => path !== FIELD && path !== SET));
  assert.equal(read(MADE, 'sfdx-project.json'), read(PROJECT, 'sfdx-project.json'));
  assert.equal(read(MADE, '.forceignore'), read(PROJECT, '.forceignore'));
});

test('only elements that named the lookup or VoiceCall are removed', () => {
  const names = /[>$.](Voice_Call__c|VoiceCall|Sidedoor_Voice_Calls)</;
  let changed = 0;
  const elements = (tree) => tree.children.flatMap((c) => [c, ...elements(c)]);
  for (const path of filesBelow(MADE).filter((file) => file.endsWith('.xml'))) {
    const [was, is] = [read(PROJECT, path), read(MADE, path)];
    assert.equal(xmlFault(is), null, path);
    assert.doesNotMatch(is, names, path);
    if (was === is) continue;
    changed += 1;
    const kept = (xml) =>
      elements(parseXml(xml))
        .filter((e) => ['field', 'columns', 'members'].includes(e.tag) && e.children.length === 0)
        .map((e) => e.text);
    const gone = /(^|[$.])(Voice_Call__c|Sidedoor_Voice_Calls)$/;
    assert.deepEqual(kept(is), kept(was).filter((name) => !gone.test(name)), path);
    assert.ok(kept(was).length > kept(is).length, path);
  }
  // Three permission sets, the layout, the list view, the report type, two reports, and the manifest.
  assert.equal(changed, 9);
});

test('every file still matches Salesforce’s WSDL', () => {
  const types = readTypes();
  const files = filesBelow(join(MADE, SOURCES)).filter((path) => path.endsWith('-meta.xml') && !path.startsWith('lwc/'));
  assert.ok(files.length > 40);
  for (const path of files) assert.deepEqual(faults(parseXml(read(join(MADE, SOURCES), path)), types), [], path);
});

test('its manifest lists exactly its components', async () => {
  const { ComponentSet } = require('@salesforce/source-deploy-retrieve');
  const here = ComponentSet.fromSource(join(MADE, 'force-app'));
  const manifestPath = join(MADE, 'manifest/package.xml');
  const resolved = await ComponentSet.fromManifest({ manifestPath, resolveSourcePaths: [join(MADE, 'force-app')] });
  assert.ok([...here].length > 20);
  assert.deepEqual([...here].filter((c) => !resolved.has(c)).map((c) => c.fullName), []);
  const sets = all(parseXml(read(MADE, 'manifest/package.xml')), 'types').find((t) => text(t, 'name') === 'PermissionSet');
  const listed = all(sets, 'members').map((member) => member.text);
  assert.deepEqual(listed, ['Sidedoor_Agent', 'Sidedoor_Integration', 'Sidedoor_Operations', 'Sidedoor_Operator', 'Sidedoor_Supervisor']);
});

test('it overwrites nothing, and explains its usage', () => {
  const again = run(MADE);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /already exists/);
  assert.equal(run().status, 2);
  assert.equal(run('a', 'b').status, 2);
});
