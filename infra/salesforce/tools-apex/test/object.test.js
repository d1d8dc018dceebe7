// The object is what the service writes: every default field name of src/config/salesforce.rs, of a type that it may be of, with
// a help text, and no other field; the external id unique; the lookups harmless.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldsOf, readXml, text } from '../lib/project.js';
import { readKinds, readService, readTable } from '../lib/rust.js';

const OBJECT = 'VoiceCallParticipant__c';
const FIELDS = fieldsOf(OBJECT);
const { table: TABLE, kinds: KINDS } = readService();

// As describe names a field of each metadata type.
const DESCRIBED = {
  Text: 'string',
  TextArea: 'textarea',
  Picklist: 'picklist',
  Number: 'double',
  DateTime: 'datetime',
  Checkbox: 'boolean',
  Lookup: 'reference',
};

test('the table of the service can be read, and a change of its form is noticed', () => {
  assert.ok(TABLE.length >= 20);
  assert.equal(TABLE[0].setting, 'external_id');
  assert.throws(() => readTable('fields! {\n    a = "A__c", TEXT;\n}\n'), /not a field/);
  assert.throws(() => readTable('struct Fields;'), /no table/);
  assert.throws(() => readKinds('nothing'), /no constants/);
});

test('the object has every field that the service writes, and no other', () => {
  assert.deepEqual([...FIELDS.keys()].sort(), TABLE.map((row) => row.name).sort());
});

test('every field is of a type that may hold what is written', () => {
  for (const { name, kind } of TABLE) {
    const described = DESCRIBED[text(FIELDS.get(name), 'type')];
    assert.ok(KINDS.get(kind).includes(described), `${name} is ${described}, and may be ${KINDS.get(kind)}`);
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
  assert.equal(labels.size, FIELDS.size, 'two fields of one label');
});

test('rows are found by a unique external id, whatever its case', () => {
  const key = FIELDS.get(TABLE[0].name);
  assert.equal(text(key, 'externalId'), 'true');
  assert.equal(text(key, 'unique'), 'true');
  assert.equal(text(key, 'caseSensitive'), 'false');
  assert.equal(text(key, 'required'), 'true');
  assert.equal(text(key, 'length'), '255');
  for (const [name, field] of FIELDS) {
    if (name === TABLE[0].name) continue;
    assert.notEqual(text(field, 'externalId'), 'true', name);
    assert.notEqual(text(field, 'unique'), 'true', `${name}: a second unique field would refuse rows`);
    assert.notEqual(text(field, 'required'), 'true', `${name}: rows are written before everything is known`);
  }
});

test('a lookup never keeps a record from being deleted', () => {
  const meant = { Voice_Call__c: 'VoiceCall', Supervisor__c: 'User' };
  for (const [name, target] of Object.entries(meant)) {
    assert.equal(text(FIELDS.get(name), 'referenceTo'), target);
    assert.equal(text(FIELDS.get(name), 'deleteConstraint'), 'SetNull');
  }
});

test('numbers and texts have room for what is written', () => {
  for (const { name, kind } of TABLE) {
    const field = FIELDS.get(name);
    if (kind === 'NUMBER') {
      assert.equal(text(field, 'scale'), '0', name);
      // Milliseconds are 64 bits in the service, versions 32: 10 digits.
      assert.equal(text(field, 'precision'), /Version/.test(name) ? '10' : '18', name);
    }
  }
  const longest = { Supervision_Id__c: 36, Contact_Id__c: 255, Connect_User_Id__c: 255, Customer_Call_Continued__c: 7 };
  for (const [name, least] of Object.entries(longest)) assert.ok(Number(text(FIELDS.get(name), 'length')) >= least, name);
});

test('rows are private, are reported on, and leave no second copy of themselves', () => {
  const object = readXml(`objects/${OBJECT}/${OBJECT}.object-meta.xml`);
  assert.equal(text(object, 'sharingModel'), 'Private');
  assert.equal(text(object, 'externalSharingModel'), 'Private');
  assert.equal(text(object, 'deploymentStatus'), 'Deployed');
  assert.equal(text(object, 'enableReports'), 'true');
  assert.equal(text(object, 'nameField', 'type'), 'AutoNumber');
  for (const copy of ['enableHistory', 'enableFeeds', 'enableActivities']) assert.equal(text(object, copy), 'false', copy);
  for (const [name, field] of FIELDS) {
    for (const copy of ['trackHistory', 'trackFeedHistory', 'trackTrending']) {
      assert.notEqual(text(field, copy), 'true', `${name}: ${copy}`);
    }
  }
});

test('the platform event says only which stream', () => {
  const object = readXml('objects/Supervisor_Directive__e/Supervisor_Directive__e.object-meta.xml');
  assert.equal(text(object, 'eventType'), 'HighVolume');
  assert.equal(text(object, 'publishBehavior'), 'PublishImmediately');
  const fields = fieldsOf('Supervisor_Directive__e');
  assert.deepEqual([...fields.keys()], ['Stream_Key__c']);
  assert.equal(text(fields.get('Stream_Key__c'), 'type'), 'Text');
  assert.equal(text(fields.get('Stream_Key__c'), 'length'), '64');
});

test('the settings have a record, and every field of it', () => {
  const fields = fieldsOf('Sidedoor_Setting__mdt');
  const record = readXml('customMetadata/Sidedoor_Setting.Default.md-meta.xml');
  const given = record.children.filter((c) => c.tag === 'values').map((v) => [text(v, 'field'), text(v, 'value')]);
  assert.deepEqual(given.map(([field]) => field).sort(), [...fields.keys()].sort());
  const values = Object.fromEntries(given);
  assert.equal(values.Delivery_Mode__c, 'EMP_API', 'what needs neither CORS nor a trusted URL');
  assert.equal(Number(values.Time_Out_Ms__c), 9000);
  assert.equal(Number(values.Poll_Seconds__c), 5);
  assert.equal(values.Stream_Url__c, '');
});
