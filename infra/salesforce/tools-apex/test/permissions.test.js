// The permission sets are complete, name only things that exist, and give no more than their users need.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classNames } from '../lib/apex.js';
import { all, fieldsOf, metadataFiles, nameOf, optional, optionalParts, readXml, text } from '../lib/project.js';

const OBJECT = 'VoiceCallParticipant__c';
const FIELDS = fieldsOf(OBJECT);
const setsOf = (folder) =>
  metadataFiles(folder)
    .filter((path) => path.startsWith('permissionsets/'))
    .map((path) => [nameOf(path), readXml(path, folder)]);
const OWN = new Map(setsOf());
const SETS = new Map([...OWN, ...optionalParts().flatMap((part) => setsOf(optional(part)))]);

const fields = (set) =>
  all(set, 'fieldPermissions').map((p) => ({
    field: text(p, 'field'),
    editable: text(p, 'editable') === 'true',
    readable: text(p, 'readable') === 'true',
  }));
const objects = (set) =>
  Object.fromEntries(
    all(set, 'objectPermissions').map((p) => {
      const given = p.children.filter((c) => c.tag !== 'object' && c.text === 'true').map((c) => c.tag);
      return [text(p, 'object'), given.sort()];
    }),
  );
const named = (set, tag, name) =>
  all(set, tag)
    .filter((p) => text(p, 'enabled') === 'true')
    .map((p) => text(p, name));

test('no permission set is bound to a licence', () => {
  assert.deepEqual([...OWN.keys()].sort(), [
    'Sidedoor_Agent',
    'Sidedoor_Callout',
    'Sidedoor_Integration',
    'Sidedoor_Listen_Flow',
    'Sidedoor_Operations',
    'Sidedoor_Operator',
    'Sidedoor_Operator_Callout',
    'Sidedoor_Supervisor',
  ]);
  assert.deepEqual([...SETS.keys()].filter((name) => !OWN.has(name)).sort(), [
    'Sidedoor_App',
    'Sidedoor_Messaging_Reports',
    'Sidedoor_Messaging_Sessions',
    'Sidedoor_Voice_Calls',
    'Sidedoor_Voice_Reports',
  ]);
  // A set that names a licence can be assigned only to users with that licence.
  for (const [name, set] of SETS) assert.deepEqual(all(set, 'license'), [], name);
});

test('each set for the object names every optional field exactly once', () => {
  // Salesforce rejects a set that names a required field.
  const wanted = [...FIELDS].filter(([, f]) => text(f, 'required') !== 'true').map(([name]) => `${OBJECT}.${name}`);
  assert.equal(wanted.length, FIELDS.size - 1);
  for (const [name, set] of OWN) {
    if (!(OBJECT in objects(set))) {
      assert.deepEqual(fields(set), [], name);
      continue;
    }
    assert.deepEqual(fields(set).map((f) => f.field).sort(), wanted.sort(), name);
    for (const field of fields(set)) {
      assert.ok(field.readable, `${name}: ${field.field}`);
      const formula = text(FIELDS.get(field.field.split('.')[1]), 'formula') !== undefined;
      assert.equal(field.editable, name === 'Sidedoor_Integration' && !formula, `${name}: ${field.field}`);
    }
  }
});

test('the integration user can only describe, upsert and publish', () => {
  const set = SETS.get('Sidedoor_Integration');
  assert.deepEqual(objects(set), {
    [OBJECT]: ['allowCreate', 'allowEdit', 'allowRead'],
    Supervision_Notice__e: ['allowCreate', 'allowRead'],
    Supervisor_Directive__e: ['allowCreate', 'allowRead'],
  });
  assert.deepEqual(named(set, 'userPermissions', 'name'), ['ApiEnabled']);
  assert.deepEqual(all(set, 'classAccesses'), []);
});

test('what needs VoiceCall has sets of its own, because a licence may not allow it', () => {
  const sets = new Map(setsOf(optional('voice')));
  assert.deepEqual([...sets.keys()].sort(), ['Sidedoor_Voice_Calls', 'Sidedoor_Voice_Reports']);
  const [writer, reader] = [sets.get('Sidedoor_Voice_Calls'), sets.get('Sidedoor_Voice_Reports')];
  assert.deepEqual(objects(writer), { VoiceCall: ['allowRead', 'viewAllRecords'] });
  assert.deepEqual(objects(reader), {}, 'the org decides who sees its calls');
  const field = `${OBJECT}.Voice_Call__c`;
  assert.deepEqual(fields(writer), [{ field, editable: true, readable: true }]);
  assert.deepEqual(fields(reader), [{ field, editable: false, readable: true }]);
  for (const [name, other] of OWN) assert.ok(!('VoiceCall' in objects(other)), name);
});

test('what needs MessagingSession has sets of its own, and nobody who reads writes the contact id', () => {
  const sets = new Map(setsOf(optional('messaging')));
  assert.deepEqual([...sets.keys()].sort(), ['Sidedoor_Messaging_Reports', 'Sidedoor_Messaging_Sessions']);
  const [writer, reader] = [sets.get('Sidedoor_Messaging_Sessions'), sets.get('Sidedoor_Messaging_Reports')];
  assert.deepEqual(objects(writer), { MessagingSession: ['allowRead', 'viewAllRecords'] });
  assert.deepEqual(objects(reader), {}, 'the org decides who sees its chats');
  const key = { field: 'MessagingSession.Connect_Contact_Id__c', editable: false, readable: true };
  const lookup = { field: `${OBJECT}.Messaging_Session__c`, readable: true };
  assert.deepEqual(fields(writer), [key, { ...lookup, editable: true }]);
  assert.deepEqual(fields(reader), [key, { ...lookup, editable: false }]);
  for (const [name, other] of OWN) assert.ok(!('MessagingSession' in objects(other)), name);
});

test('each principal has a set of its own, so that the component deploys without it', () => {
  const wanted = { Sidedoor_Callout: ['Sidedoor-Supervisor'], Sidedoor_Operator_Callout: ['Sidedoor_Operator-Operator'] };
  const principals = metadataFiles()
    .filter((path) => path.startsWith('externalCredentials/'))
    .flatMap((path) =>
      all(readXml(path), 'externalCredentialParameters')
        .filter((p) => text(p, 'parameterType') === 'PerUserPrincipal')
        .map((p) => `${nameOf(path)}-${text(p, 'parameterName')}`),
    );
  assert.deepEqual(principals.sort(), Object.values(wanted).flat().sort());
  for (const name of Object.keys(wanted)) {
    const set = SETS.get(name);
    assert.deepEqual([...new Set(set.children.map((c) => c.tag))].sort(), [
      'description',
      'externalCredentialPrincipalAccesses',
      'hasActivationRequired',
      'label',
      'objectPermissions',
    ]);
    assert.deepEqual(objects(set), { UserExternalCredential: ['allowRead'] });
  }
  for (const [name, set] of SETS) {
    assert.deepEqual(named(set, 'externalCredentialPrincipalAccesses', 'externalCredentialPrincipal'), wanted[name] ?? [], name);
  }
});

test('the app is only for supervisors who get its set', () => {
  const set = SETS.get('Sidedoor_App');
  assert.deepEqual(all(set, 'applicationVisibilities').map((a) => [text(a, 'application'), text(a, 'visible')]), [['Sidedoor', 'true']]);
  assert.deepEqual(objects(set), {});
});

test('supervisors and operators each get their own custom permission, and others none', () => {
  const files = metadataFiles().filter((path) => path.startsWith('customPermissions/'));
  assert.deepEqual(files.map(nameOf), ['Sidedoor_Operate', 'Sidedoor_Supervise']);
  for (const file of files) {
    const permission = readXml(file);
    assert.ok(text(permission, 'label').length <= 80 && text(permission, 'description').length <= 255);
    assert.equal(text(permission, 'isLicensed'), 'false');
    assert.deepEqual(all(permission, 'connectedApp'), []);
  }
  const wanted = { Sidedoor_Supervisor: ['Sidedoor_Supervise'], Sidedoor_Operator: ['Sidedoor_Operate'] };
  for (const [name, set] of SETS) assert.deepEqual(named(set, 'customPermissions', 'name'), wanted[name] ?? [], name);
});

test('an operator gets the custom permission, and nothing more', () => {
  const set = SETS.get('Sidedoor_Operator');
  assert.deepEqual([...new Set(set.children.map((c) => c.tag))].sort(), ['customPermissions', 'description', 'hasActivationRequired', 'label']);
});

test('the set for the flow only lets it run', () => {
  const set = SETS.get('Sidedoor_Listen_Flow');
  const tags = [...new Set(set.children.map((c) => c.tag))].sort();
  assert.deepEqual(tags, ['description', 'flowAccesses', 'hasActivationRequired', 'label']);
  assert.deepEqual(named(set, 'flowAccesses', 'flow'), ['Sidedoor_Start_Listening']);
});

test('an agent can receive notices, and nothing more', () => {
  const set = SETS.get('Sidedoor_Agent');
  assert.deepEqual(objects(set), { Supervision_Notice__e: ['allowRead'] });
  for (const tag of ['classAccesses', 'customPermissions', 'userPermissions', 'externalCredentialPrincipalAccesses']) {
    assert.deepEqual(all(set, tag), [], tag);
  }
});

test('a supervisor sees the component and receives events, and edits no record', () => {
  const set = SETS.get('Sidedoor_Supervisor');
  assert.deepEqual(objects(set), {
    [OBJECT]: ['allowRead'],
    Supervisor_Directive__e: ['allowRead'],
  });
  assert.deepEqual(named(set, 'classAccesses', 'apexClass'), [
    'SidedoorAgentCall',
    'SidedoorBoard',
    'SidedoorController',
    'SidedoorListenAction',
  ]);
  for (const name of named(set, 'classAccesses', 'apexClass')) assert.ok(classNames().includes(name), name);
  assert.deepEqual(named(set, 'customMetadataTypeAccesses', 'name'), ['Sidedoor_Setting__mdt']);
  assert.deepEqual(named(set, 'userPermissions', 'name'), []);
});

test('operations can read every record and edit none', () => {
  const set = SETS.get('Sidedoor_Operations');
  assert.deepEqual(objects(set), { [OBJECT]: ['allowRead', 'viewAllRecords'] });
  assert.deepEqual(named(set, 'userPermissions', 'name'), ['RunReports']);
  assert.deepEqual(all(set, 'tabSettings').map((t) => text(t, 'tab')), [OBJECT]);
  assert.deepEqual(all(set, 'classAccesses'), []);
});

test('no set gives delete or modify-all permissions', () => {
  for (const [name, set] of SETS) {
    for (const [object, given] of Object.entries(objects(set))) {
      assert.ok(!given.includes('allowDelete') && !given.includes('modifyAllRecords'), `${name}: ${object}`);
    }
    for (const permission of named(set, 'userPermissions', 'name')) assert.doesNotMatch(permission, /All|Customize|Author/);
    assert.ok(text(set, 'description').length <= 255, name);
    assert.ok(text(set, 'label').length <= 80, name);
  }
});
