// The object matches what the service writes: exactly the default field names of src/config/salesforce.rs, each with an allowed type
// and a help text, beside formulas. The external id is unique, the lookups do not prevent deletions, and picklists have the words that
// the service writes, but accept others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { all, fieldsOf, optional, readXml, text } from '../lib/project.js';
import { readKinds, readService, readTable, readWords } from '../lib/rust.js';

const OBJECT = 'VoiceCallParticipant__c';
const OPTIONAL_FIELDS = new Map(['voice', 'messaging'].flatMap((part) => [...fieldsOf(OBJECT, optional(part))]));
const FIELDS = new Map([...fieldsOf(OBJECT), ...OPTIONAL_FIELDS]);
const FORMULAS = [...FIELDS].filter(([, field]) => text(field, 'formula') !== undefined).map(([name]) => name);
const { table, kinds: KINDS } = readService();
const TABLE = table.filter((row) => row.name !== '');

// The name of each metadata field type in describe.
const DESCRIBED = {
  Text: 'string',
  TextArea: 'textarea',
  Picklist: 'picklist',
  Number: 'double',
  DateTime: 'datetime',
  Checkbox: 'boolean',
  Lookup: 'reference',
};

test('the service’s table of fields is read, and a changed form is noticed', () => {
  assert.ok(TABLE.length >= 20);
  assert.equal(TABLE[0].setting, 'external_id');
  assert.throws(() => readTable('fields! {\n    a = "A__c", TEXT;\n}\n'), /invalid field/);
  assert.throws(() => readTable('struct Fields;'), /table fields! .* not found/);
  assert.throws(() => readKinds('nothing'), /constants of kinds not found/);
});

test('the object has exactly the fields that the service writes', () => {
  assert.deepEqual(FORMULAS.sort(), ['Leg_Count__c', 'Listened_Seconds__c']);
  const written = new Set(TABLE.map((row) => row.name));
  assert.deepEqual([...FIELDS.keys()].filter((name) => !FORMULAS.includes(name)).sort(), [...written].sort());
});

test('what needs another product is not in the object itself', () => {
  const own = fieldsOf(OBJECT);
  assert.deepEqual([...OPTIONAL_FIELDS.keys()].sort(), ['Messaging_Session__c', 'Voice_Call__c']);
  for (const [name, field] of own) {
    assert.ok(!OPTIONAL_FIELDS.has(name), name);
    if (text(field, 'type') === 'Lookup') assert.equal(text(field, 'referenceTo'), 'User', name);
  }
});

test('the time listened is empty until both times are known', () => {
  const formula = text(FIELDS.get('Listened_Seconds__c'), 'formula').replace(/\s+/g, ' ');
  assert.match(formula, /^IF\( OR\(ISBLANK\(Joined_At__c\), ISBLANK\(Disconnected_At__c\)\), NULL, /);
  assert.match(formula, /\(Disconnected_At__c - Joined_At__c\) \* 86400/);
  assert.equal(text(FIELDS.get('Listened_Seconds__c'), 'formulaTreatBlanksAs'), 'BlankAsBlank');
  for (const name of FORMULAS) {
    const used = [...text(FIELDS.get(name), 'formula').matchAll(/\w+__c/g)].map(([field]) => field);
    for (const field of used) assert.ok(fieldsOf(OBJECT).has(field), `${name}: ${field}`);
  }
});

test('picklists have the words that the service writes, and accept any other', () => {
  const words = readWords();
  const picklists = [...FIELDS].filter(([, field]) => text(field, 'type') === 'Picklist');
  assert.deepEqual(picklists.map(([name]) => name).sort(), [...words.keys()].sort());
  for (const [name, field] of picklists) {
    // A restricted picklist would refuse a record whose word a later version of the service has added.
    assert.equal(text(field, 'valueSet', 'restricted'), 'false', name);
    const values = all(field, 'valueSet', 'valueSetDefinition', 'value');
    assert.deepEqual(values.map((value) => text(value, 'fullName')).sort(), words.get(name).sort(), name);
    for (const value of values) {
      assert.equal(text(value, 'default'), 'false', `${name}: a record must not get a word that nothing wrote`);
      assert.equal(text(value, 'label'), text(value, 'fullName'), name);
      assert.ok(text(field, 'inlineHelpText').includes(text(value, 'fullName')), `${name}: help text`);
    }
  }
});

test('a word that the service renames is noticed', () => {
  assert.throws(() => readWords(() => 'fn as_str() {}'), /no words/);
});

test('every field has a type that can hold its value', () => {
  for (const { name, kind } of TABLE) {
    const described = DESCRIBED[text(FIELDS.get(name), 'type')];
    assert.ok(KINDS.get(kind).includes(described), `${name} is ${described}; allowed are ${KINDS.get(kind)}`);
  }
});

test('every field has its own name, a label and a help text that fits', () => {
  const labels = new Set();
  for (const [name, field] of FIELDS) {
    assert.equal(text(field, 'fullName'), name);
    assert.ok(text(field, 'label')?.length <= 40, `${name}: label`);
    labels.add(text(field, 'label'));
    const help = text(field, 'inlineHelpText');
    assert.ok(help?.length > 10 && help.length <= 510, `${name}: help text`);
    assert.ok(help.endsWith('.'), `${name}: help text`);
  }
  assert.equal(labels.size, FIELDS.size, 'two fields have the same label');
});

test('records have a unique, case-insensitive external id', () => {
  const key = FIELDS.get(TABLE[0].name);
  assert.equal(text(key, 'externalId'), 'true');
  assert.equal(text(key, 'unique'), 'true');
  assert.equal(text(key, 'caseSensitive'), 'false');
  assert.equal(text(key, 'required'), 'true');
  assert.equal(text(key, 'length'), '255');
  for (const [name, field] of FIELDS) {
    if (name === TABLE[0].name) continue;
    assert.notEqual(text(field, 'externalId'), 'true', name);
    assert.notEqual(text(field, 'unique'), 'true', `${name}: a second unique field could make Salesforce reject records`);
    assert.notEqual(text(field, 'required'), 'true', `${name}: records are written before every value is known`);
  }
});

test('a lookup never prevents the deletion of its target', () => {
  const meant = { Voice_Call__c: 'VoiceCall', Messaging_Session__c: 'MessagingSession', Supervisor__c: 'User', Agent__c: 'User' };
  for (const [name, target] of Object.entries(meant)) {
    assert.equal(text(FIELDS.get(name), 'referenceTo'), target);
    assert.equal(text(FIELDS.get(name), 'deleteConstraint'), 'SetNull');
  }
});

test('the field with the contact id of a chat can be searched, and a duplicate never stops the org’s own chat', () => {
  const fields = fieldsOf('MessagingSession', optional('messaging'));
  assert.deepEqual([...fields.keys()], ['Connect_Contact_Id__c']);
  const field = fields.get('Connect_Contact_Id__c');
  assert.equal(text(field, 'type'), 'Text');
  assert.equal(text(field, 'label'), 'Connect Contact Id');
  // Amazon Connect allows contact ids of up to 256 characters in its API; the ids that it gives have 36.
  assert.ok(Number(text(field, 'length')) >= 36);
  // An external id has an index, without which a query over many sessions may be refused as not selective.
  assert.equal(text(field, 'externalId'), 'true');
  // A unique field would make the flow fail that writes the id a second time, and with it the chat.
  assert.equal(text(field, 'unique'), 'false');
  assert.equal(text(field, 'required'), 'false');
  assert.ok(text(field, 'inlineHelpText').length <= 510);
});

test('numbers and texts are long enough for their values', () => {
  for (const { name, kind } of TABLE) {
    const field = FIELDS.get(name);
    if (kind === 'NUMBER') {
      assert.equal(text(field, 'scale'), '0', name);
      // The service stores milliseconds in 64 bits and versions in 32 bits (10 digits).
      assert.equal(text(field, 'precision'), /Version/.test(name) ? '10' : '18', name);
    }
  }
  const longest = { Supervision_Id__c: 36, Contact_Id__c: 255, Connect_User_Id__c: 255, Request_Reason__c: 255 };
  for (const [name, least] of Object.entries(longest)) assert.ok(Number(text(FIELDS.get(name), 'length')) >= least, name);
});

// What a reviewer asks about: when the leg ended, how sure that is, and what the supervisor did.
const TRACKED = [
  'Calibration_Grade__c',
  'Confirmation__c',
  'Customer_Call_Continued__c',
  'Disconnect_Reason__c',
  'Disconnect_Uncertainty_Ms__c',
  'Disconnected_At__c',
  'Disconnected_Epoch_Ms__c',
  'Joined_At__c',
  'Mode__c',
];

test('records are private, can be reported on, and keep the history of the instant', () => {
  const object = readXml(`objects/${OBJECT}/${OBJECT}.object-meta.xml`);
  assert.equal(text(object, 'sharingModel'), 'Private');
  assert.equal(text(object, 'externalSharingModel'), 'Private');
  assert.equal(text(object, 'deploymentStatus'), 'Deployed');
  assert.equal(text(object, 'enableReports'), 'true');
  assert.equal(text(object, 'nameField', 'type'), 'AutoNumber');
  assert.equal(text(object, 'enableHistory'), 'true');
  for (const copy of ['enableFeeds', 'enableActivities']) assert.equal(text(object, copy), 'false', copy);
  const tracked = [...FIELDS].filter(([, field]) => text(field, 'trackHistory') === 'true').map(([name]) => name);
  assert.deepEqual(tracked.sort(), TRACKED);
  assert.ok(tracked.length <= 20, 'Salesforce tracks at most 20 fields of an object');
  for (const [name, field] of FIELDS) {
    for (const copy of ['trackFeedHistory', 'trackTrending']) assert.notEqual(text(field, copy), 'true', `${name}: ${copy}`);
  }
});

test('the platform event has only the channel key', () => {
  const object = readXml('objects/Supervisor_Directive__e/Supervisor_Directive__e.object-meta.xml');
  assert.equal(text(object, 'eventType'), 'HighVolume');
  assert.equal(text(object, 'publishBehavior'), 'PublishImmediately');
  const fields = fieldsOf('Supervisor_Directive__e');
  assert.deepEqual([...fields.keys()], ['Stream_Key__c']);
  assert.equal(text(fields.get('Stream_Key__c'), 'type'), 'Text');
  assert.equal(text(fields.get('Stream_Key__c'), 'length'), '64');
});

test('the notice for agents names the agent, the call and the supervision', () => {
  const object = readXml('objects/Supervision_Notice__e/Supervision_Notice__e.object-meta.xml');
  assert.equal(text(object, 'eventType'), 'HighVolume');
  assert.equal(text(object, 'publishBehavior'), 'PublishImmediately');
  const fields = fieldsOf('Supervision_Notice__e');
  const required = [...fields].filter(([, field]) => text(field, 'required') === 'true').map(([name]) => name);
  assert.deepEqual(required.sort(), ['Agent__c', 'Contact_Id__c', 'State__c', 'Supervision_Id__c']);
  assert.deepEqual([...fields.keys()].filter((name) => !required.includes(name)).sort(), ['Mode__c', 'Supervisor_Name__c']);
  for (const [name, field] of fields) assert.equal(text(field, 'type'), 'Text', name);
});

test('the settings record has a value for every field', () => {
  const fields = fieldsOf('Sidedoor_Setting__mdt');
  const record = readXml('customMetadata/Sidedoor_Setting.Default.md-meta.xml');
  const given = record.children.filter((c) => c.tag === 'values').map((v) => [text(v, 'field'), text(v, 'value')]);
  assert.deepEqual(given.map(([field]) => field).sort(), [...fields.keys()].sort());
  const values = Object.fromEntries(given);
  assert.equal(values.Delivery_Mode__c, 'POLL', 'the mode that needs nothing and uses no event deliveries of the org');
  assert.equal(Number(values.Time_Out_Ms__c), 9000);
  assert.equal(Number(values.Poll_Seconds__c), 5);
  assert.equal(values.Stream_Url__c, '');
});
