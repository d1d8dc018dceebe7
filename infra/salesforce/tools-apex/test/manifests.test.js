// The manifests: every component is in exactly one of them, each depends only on earlier ones, and the library that the Salesforce CLI
// deploys with makes of each exactly what it names.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { FROM_OPTIONAL, ORDER, componentsOf, foldersOf, manifestNames, namedBy, placed, readManifest } from '../lib/manifest.js';
import {
  API_VERSION,
  MANIFESTS,
  OPTIONAL,
  PROJECT,
  all,
  filesBelow,
  optionalParts,
  parseXml,
  text,
  xmlFault,
} from '../lib/project.js';

const require = createRequire(import.meta.url);
const MADE = mkdtempSync(join(tmpdir(), 'sidedoor-manifests-'));
const NAMES = manifestNames();
const READ = NAMES.map((name) => ({
  name,
  from: FROM_OPTIONAL.includes(name) ? 'optional' : 'force-app',
  ...readManifest(name),
}));
let components;

before(() => {
  components = [
    ...componentsOf([join(PROJECT, 'force-app')]).map((c) => ({ ...c, from: 'force-app' })),
    ...componentsOf(optionalParts().map((part) => join(OPTIONAL, part))).map((c) => ({ ...c, from: 'optional' })),
  ];
});
after(() => rmSync(MADE, { recursive: true }));

test('there are six manifests in order, and optional ones', () => {
  for (const [index, name] of ORDER.entries()) {
    assert.ok(readManifest(name).comment.startsWith(`${index + 1} of ${ORDER.length}. `), name);
  }
  for (const { name, version, comment, members } of READ) {
    assert.equal(xmlFault(readFileSync(join(MANIFESTS, `${name}.xml`), 'utf8')), null, name);
    assert.equal(version, API_VERSION, name);
    assert.equal(new Set(members).size, members.length, `${name} names something twice`);
    if (!ORDER.includes(name)) assert.match(comment, /^Optional\. /, name);
    if (FROM_OPTIONAL.includes(name)) assert.match(comment, /from the folder optional/, name);
  }
});

test('every component is in exactly one manifest', () => {
  assert.ok(components.length > 80);
  for (const [id, names] of placed(components, READ)) assert.equal(names.length, 1, `${id} is in ${names.join(', ') || 'none'}`);
});

test('a manifest names only what exists', () => {
  for (const { name, from, members } of READ) {
    const there = components.filter((c) => c.from === from).map((c) => c.id);
    for (const member of members) {
      const [type, rest] = member.split(':');
      const found = rest === '*' ? there.some((id) => id.startsWith(`${type}:`)) : there.includes(member);
      assert.ok(found, `${name}: ${member}`);
    }
  }
});

test('each manifest depends only on earlier ones, as its comment says', () => {
  const at = new Map([...placed(components, READ)].map(([id, [name]]) => [id, name]));
  const needs = new Map(NAMES.map((name) => [name, new Set()]));
  for (const component of components) {
    for (const id of namedBy(component, components)) needs.get(at.get(component.id)).add(at.get(id));
  }
  for (const { name, comment } of READ) {
    needs.get(name).delete(name);
    const said = /Depends on ([a-z, -]+?)(?:, and on [^.]+)?\.$/.exec(comment)?.[1] ?? '';
    const allowed = new Set(said === 'nothing' ? [] : said.split(/, | and /));
    assert.ok(said !== '', `${name}: ${comment}`);
    for (const one of allowed) {
      assert.ok(NAMES.includes(one), `${name}: ${one}`);
      const earlier = ORDER.includes(name) ? ORDER.slice(0, ORDER.indexOf(name)) : ORDER.slice(0, 4);
      assert.ok(earlier.includes(one), `${name} depends on ${one}, which comes later`);
      for (const further of readManifest(one)
        .comment.match(/Depends on ([a-z]+)/)
        .slice(1))
        if (NAMES.includes(further)) allowed.add(further);
    }
    assert.deepEqual(
      [...needs.get(name)].filter((one) => !allowed.has(one)),
      [],
      `${name} depends on more than it says`,
    );
  }
});

test('a dependency on a later manifest is found', () => {
  const layout = components.find((c) => c.id === 'Layout:VoiceCallParticipant__c-Voice Call Participant with Voice Call');
  assert.ok(namedBy(layout, components).includes('CustomField:VoiceCallParticipant__c.Voice_Call__c'));
  const chats = components.find((c) => c.id === 'Report:Sidedoor/Chat_Coverage_by_Week');
  assert.ok(namedBy(chats, components).includes('CustomField:MessagingSession.Connect_Contact_Id__c'));
  const set = components.find((c) => c.id === 'PermissionSet:Sidedoor_Callout');
  assert.deepEqual(namedBy(set, components), ['ExternalCredential:Sidedoor']);
  const run = components.find((c) => c.id === 'PermissionSet:Sidedoor_Listen_Flow');
  assert.deepEqual(namedBy(run, components), ['Flow:Sidedoor_Start_Listening']);
  const flow = components.find((c) => c.id === 'Flow:Sidedoor_Start_Listening');
  assert.ok(namedBy(flow, components).includes('ApexClass:SidedoorListenAction'));
  const flows = components.find((c) => c.id === 'ExternalServiceRegistration:Sidedoor');
  assert.ok(namedBy(flows, components).includes('NamedCredential:Sidedoor'));
  const bundle = components.find((c) => c.id === 'LightningComponentBundle:supervisorPresence');
  assert.ok(namedBy(bundle, components).includes('ApexClass:SidedoorController'));
});

test('nothing in the first four manifests needs VoiceCall or MessagingSession', () => {
  const object = /<(object|referenceTo|baseObject|sobjectType)>(VoiceCall|MessagingSession)</;
  for (const { id, files, from } of components.filter((c) => c.from === 'force-app' && !c.id.startsWith('Apex'))) {
    const code = files.map((file) => readFileSync(file, 'utf8')).join('\n');
    assert.doesNotMatch(code, object, `${from}: ${id}`);
    if (!id.startsWith('LightningComponentBundle')) assert.doesNotMatch(code, /Voice_Call__c|Messaging_Session__c/, id);
  }
});

test('the CLI’s library makes of each manifest exactly what it names', async () => {
  const { ComponentSet, MetadataConverter } = require('@salesforce/source-deploy-retrieve');
  const objects = new Map();
  const fieldsOf = (file) => all(parseXml(readFileSync(file, 'utf8')), 'fields').map((field) => text(field, 'fullName'));
  for (const name of NAMES) {
    const set = await ComponentSet.fromManifest({
      manifestPath: join(MANIFESTS, `${name}.xml`),
      resolveSourcePaths: foldersOf(name),
    });
    const outputDirectory = join(MADE, 'made', name);
    await new MetadataConverter().convert(set, 'metadata', { type: 'directory', outputDirectory, genUniqueDir: false });
    const made = filesBelow(outputDirectory);
    assert.ok(made.length > 1, name);
    for (const file of made.filter((one) => /\/(VoiceCallParticipant__c|MessagingSession)\.object$/.test(one))) {
      objects.set(`${name} ${basename(file, '.object')}`, fieldsOf(join(outputDirectory, file)).sort());
    }
  }
  const { 'core VoiceCallParticipant__c': core, ...others } = Object.fromEntries(objects);
  assert.ok(core.length > 25 && !core.some((field) => ['Voice_Call__c', 'Messaging_Session__c'].includes(field)));
  assert.deepEqual(others, {
    'voice VoiceCallParticipant__c': ['Voice_Call__c'],
    'messaging VoiceCallParticipant__c': ['Messaging_Session__c'],
    'messaging MessagingSession': ['Connect_Contact_Id__c'],
  });
});

test('the static resource deploys only after its file was downloaded', async () => {
  const { ComponentSet, MetadataConverter } = require('@salesforce/source-deploy-retrieve');
  const folder = join(MADE, 'streams');
  cpSync(join(OPTIONAL, 'streams'), folder, { recursive: true });
  const library = join(folder, 'main/default/staticresources/amazonConnectStreams.js');
  rmSync(library, { force: true });
  assert.throws(() => ComponentSet.fromSource([join(folder, 'main')]), /amazonConnectStreams/);
  writeFileSync(library, '// the library\n');
  const outputDirectory = join(MADE, 'made/streams');
  const output = { type: 'directory', outputDirectory, genUniqueDir: false };
  await new MetadataConverter().convert(ComponentSet.fromSource([join(folder, 'main')]), 'metadata', output);
  assert.ok(filesBelow(outputDirectory).some((file) => file.endsWith('staticresources/amazonConnectStreams.resource')));
});
