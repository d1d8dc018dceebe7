// The Apex classes: they parse, their types hold, the recommended rules of PMD find nothing, they are formatted, and each has
// its file of metadata. What no checker here can do is run them: Apex runs only in an org.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { classNames, shape, source, syntaxErrors } from '../lib/apex.js';
import { javaVersion, lint, typeErrors, unformatted } from '../lib/checkers.js';
import { API_VERSION, PROJECT, readXml, text } from '../lib/project.js';

const NAMES = classNames();
// In CI a check that cannot run fails. Elsewhere it is skipped with this reason.
const NO_JAVA = javaVersion() === null && !process.env.CI && 'needs Java (apt-get install default-jre-headless)';

test('every class parses', () => {
  assert.ok(NAMES.length >= 8);
  for (const name of NAMES) assert.deepEqual(syntaxErrors(source(name)), [], name);
  for (const broken of ['public class X { void f( { } }', "public class X { String s = '\\q'; }", 'class X {']) {
    assert.ok(syntaxErrors(broken).length > 0, `accepted as Apex: ${broken}`);
  }
});

test('every class has a metadata file with this API version', () => {
  for (const name of NAMES) {
    const meta = readXml(`classes/${name}.cls-meta.xml`);
    assert.equal(meta.tag, 'ApexClass');
    assert.equal(text(meta, 'apiVersion'), API_VERSION, name);
    assert.equal(text(meta, 'status'), 'Active', name);
  }
});

test('every class starts with a description and runs with sharing', () => {
  for (const name of NAMES) {
    assert.match(source(name), /^\/\*\*/, name);
    if (!/^@IsTest\s+private class/m.test(source(name))) assert.match(source(name), /public with sharing class/, name);
    assert.ok(source(name).split('\n').length <= 400, `${name} is long`);
  }
});

test('no class holds a secret, an address or a debug line', () => {
  for (const name of NAMES) {
    assert.doesNotMatch(source(name), /System\.debug|Authorization|Bearer |X-API-Key/i, name);
    if (!name.endsWith('Test') && name !== 'SidedoorMock') {
      assert.doesNotMatch(source(name), /https?:\/\/[a-z]/, `${name}: addresses belong in the named credential`);
    }
  }
});

test('types, methods, fields and objects exist', { skip: NO_JAVA }, () => {
  assert.equal(typeErrors(PROJECT), '');
});

test('a wrong type, method or field is found', { skip: NO_JAVA }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sidedoor-apex-'));
  try {
    cpSync(join(PROJECT, 'sfdx-project.json'), join(folder, 'sfdx-project.json'));
    cpSync(join(PROJECT, 'force-app'), join(folder, 'force-app'), { recursive: true });
    const settings = join(folder, 'force-app/main/default/classes/SidedoorSettings.cls');
    const good = readFileSync(settings, 'utf8');
    for (const [from, to] of [
      ['Stream_Url__c', 'Stream_Uri__c'],
      ['value.intValue()', 'value.integerValue()'],
      ['DEFAULT_POLL_SECONDS = 5', "DEFAULT_POLL_SECONDS = 'five'"],
    ]) {
      assert.ok(good.includes(from), from);
      writeFileSync(settings, good.replaceAll(from, to));
      assert.match(typeErrors(folder), /SidedoorSettings\.cls/, to);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

// The recommended rules that are not followed, with the reason. All others are, including those for security and performance.
const NOT_FOLLOWED = {
  ApexDoc: 'this project writes a sentence instead of a tag for every parameter',
  ApexUnitTestClassShouldHaveRunAs: 'the tests set the permissions (SidedoorAccess.granted), because an org may have no licence left for a test user',
  AvoidBooleanMethodParameters: 'the contract and the components define these parameters',
  CognitiveComplexity: 'the sum over a class with one small method for every operation',
  CyclomaticComplexity: 'the sum over a class with one small method for every operation',
  ExcessiveParameterList: 'the components define these parameters, and Aura passes them one by one',
  ExcessivePublicCount: 'a supervision has as many members as the contract defines',
  TooManyFields: 'a supervision has as many members as the contract defines',
};

test('the other recommended rules of PMD find nothing', { skip: NO_JAVA }, async () => {
  const { rules, violations } = await lint();
  assert.ok(rules > 50, `${rules} rules`);
  assert.deepEqual(violations.filter((v) => !(v.rule in NOT_FOLLOWED)), []);
  for (const v of violations.filter((found) => found.rule.endsWith('Complexity'))) {
    assert.match(v.message, /total/, `${v.file}:${v.line}: one method is too complex`);
  }
});

test('every class is formatted', () => {
  assert.equal(unformatted(), '');
  const folder = mkdtempSync(join(tmpdir(), 'sidedoor-apex-'));
  try {
    writeFileSync(join(folder, 'X.cls'), 'public class X { void f() { Integer i=1; } }');
    assert.match(unformatted(join(folder, 'X.cls')), /X\.cls/, 'an unformatted class is reported');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the components’ interface has exactly these methods and parameters', () => {
  const { methods } = shape(source('SidedoorController')).get('SidedoorController');
  const expected = {
    settings: [],
    presence: ['contactId'],
    mine: ['connectUserId'],
    listen: ['contactId', 'agentUserId', 'voiceCallId', 'mode', 'reason', 'leaveCurrent', 'requestKey'],
    changeMode: ['supervisionId', 'mode', 'requestKey'],
    disconnect: ['supervisionId', 'requestKey'],
    disconnectAtRisk: ['supervisionId', 'reason', 'requestKey'],
    disconnectMine: ['requestKey'],
    directivesAfter: ['after', 'acts', 'tab'],
    acknowledge: ['supervisionId', 'directiveId', 'outcome', 'at', 'detail', 'requestKey'],
    streamTicket: [],
  };
  const open = [...methods].filter(([, m]) => m.modifiers.some((word) => word.startsWith('@auraenabled')));
  assert.deepEqual(open.map(([name]) => name).sort(), Object.keys(expected).sort());
  for (const [name, method] of open) {
    assert.deepEqual(method.parameters.map((p) => p.name), expected[name], name);
    assert.ok(method.modifiers.includes('static'), name);
    const cached = method.modifiers.some((word) => word.includes('cacheable=true'));
    assert.equal(cached, name === 'settings', `${name}: only the settings may be cached, because all other answers change`);
  }
});

test('every entry point checks the custom permission before it does anything', () => {
  const entries = [];
  for (const name of NAMES.filter((one) => !one.endsWith('Test'))) {
    const code = source(name);
    for (const [, annotation, signature, body] of code.matchAll(
      /@(AuraEnabled|InvocableMethod)(?:\([^)]*\))?\s+public static ([^{;]+)\{([^]*?)\n {2}\}/g,
    )) {
      entries.push(`${name}: ${annotation}`);
      // An entry point may leave the check to the method that it calls for each request.
      const called = body.includes('requireSupervise();') ? body : /static Result listenTo[^]*?\n {2}\}/.exec(code)?.[0] ?? '';
      const [before] = called.split('requireSupervise();');
      assert.notEqual(before, called, `${name}: ${signature} does not check the permission`);
      assert.doesNotMatch(before, /SidedoorClient|query|current\(\)/, `${name}: ${signature} acts before the check`);
    }
  }
  assert.equal(entries.filter((one) => one.startsWith('SidedoorController')).length, 11);
  assert.deepEqual(entries.filter((one) => !one.startsWith('SidedoorController')), [
    'SidedoorAgentCall: AuraEnabled',
    'SidedoorBoard: AuraEnabled',
    'SidedoorListenAction: InvocableMethod',
  ]);
});

test('no refresh describes the whole org', () => {
  for (const name of NAMES.filter((one) => !one.endsWith('Test'))) {
    assert.doesNotMatch(source(name), /getGlobalDescribe/, name);
  }
});

// With RunSpecifiedTests Salesforce requires that the named tests cover each class by 75 %.
const LEAST_COVERED = 0.75;

test('the deployment runs all tests, and they name every class', () => {
  const readme = readFileSync(join(PROJECT, 'README.md'), 'utf8');
  assert.match(readme, /--test-level RunSpecifiedTests/);
  const named = [...readme.matchAll(/--tests (\w+)/g)].map(([, name]) => name).sort();
  const isTest = (name) => /^@IsTest$/im.test(source(name));
  assert.deepEqual(named, NAMES.filter((name) => isTest(name) && name.endsWith('Test')));
  const tests = named.map(source).join('\n');
  for (const name of NAMES.filter((one) => !isTest(one))) {
    assert.match(tests, new RegExp(`\\b${name}\\b`), `no test of the deployment names ${name}`);
  }
});

test('the tests touch enough automatic properties of every class', () => {
  assert.equal(shape('public class X { public String a { get; private set; } }').get('X').properties.get('a').auto, 2);
  const tests = NAMES.filter((name) => name.endsWith('Test')).map(source).join('\n');
  for (const name of NAMES.filter((one) => !/^@IsTest$/im.test(source(one)))) {
    const auto = [...shape(source(name)).values()].flatMap(({ properties }) =>
      [...properties].filter(([, property]) => property.auto > 0).map(([member]) => member),
    );
    const touched = auto.filter((member) => new RegExp(`\\.${member}\\b|\\b${member} =`).test(tests));
    assert.ok(touched.length >= LEAST_COVERED * auto.length, `${name}: ${touched.length} of ${auto.length} automatic properties`);
  }
});

test('an agent’s call is read in user mode, with bind variables and documented fields', () => {
  const code = source('SidedoorAgentCall');
  const { methods } = shape(code).get('SidedoorAgentCall');
  assert.deepEqual(methods.get('liveCall').parameters.map((p) => p.name), ['agentUserId']);
  assert.deepEqual(methods.get('liveCall').modifiers.filter((word) => word.startsWith('@')), ['@auraenabled']);
  assert.match(code, /Database\.queryWithBinds\([^;]*AccessLevel\.USER_MODE\)/);
  assert.doesNotMatch(code, /Database\.query\(|escapeSingleQuotes|SYSTEM_MODE/);
  const soql = [...code.match(/SOQL =([^;]+);/)[1].matchAll(/'([^']+)'/g)].map(([, part]) => part).join('');
  assert.equal(
    soql,
    'SELECT Id, VendorCallKey FROM {0} WHERE UserId = :agent AND CallDisposition = :disposition' +
      ' AND CallStartDateTime >= :since ORDER BY CallStartDateTime DESC LIMIT {1}',
  );
});

test('the contact of a record is read in user mode, with bind variables and documented fields', () => {
  const code = source('SidedoorRecordContact');
  assert.match(code, /Database\.queryWithBinds\([^;]*AccessLevel\.USER_MODE\)/);
  assert.doesNotMatch(code, /Database\.query\(|escapeSingleQuotes|SYSTEM_MODE/);
  assert.match(code, /'SELECT \{0\} FROM \{1\} WHERE Id = :id'/);
  // The names that go into the query are constants and, for the object, what describe says.
  const names = [...code.matchAll(/@TestVisible\s+private static String (\w+) = '(\w+)';/g)].map(([, name, value]) => [name, value]);
  assert.deepEqual(Object.fromEntries(names), {
    voiceCall: 'VoiceCall',
    userObject: 'User',
    agentWork: 'AgentWork',
    workItem: 'WorkItemId',
    contactField: 'Connect_Contact_Id__c',
  });
});

test('the board’s calls are read in user mode, with bind variables and documented fields', () => {
  const code = source('SidedoorBoard');
  assert.match(code, /Database\.queryWithBinds\([^;]*AccessLevel\.USER_MODE\)/);
  assert.match(code, /FROM User WHERE Id IN :ids WITH USER_MODE/);
  assert.doesNotMatch(code, /Database\.query\(|escapeSingleQuotes|SYSTEM_MODE/);
  const soql = [...code.match(/SOQL =([^;]+);/)[1].matchAll(/'([^']+)'/g)].map(([, part]) => part).join('');
  assert.equal(
    soql,
    'SELECT Id, VendorCallKey, UserId, CallStartDateTime FROM {0} WHERE CallDisposition = :disposition' +
      ' AND CallStartDateTime >= :since ORDER BY CallStartDateTime DESC LIMIT {1}',
  );
});

test('the tests call every method', () => {
  const tests = NAMES.filter((name) => name.endsWith('Test')).map(source).join('\n');
  for (const name of ['SidedoorAccess', 'SidedoorAgentCall', 'SidedoorBoard', 'SidedoorController', 'SidedoorClient', 'SidedoorListenAction']) {
    for (const [method, { modifiers }] of shape(source(name)).get(name).methods) {
      if (!modifiers.includes('private')) assert.match(tests, new RegExp(`\\.${method}\\(`), `${name}.${method}`);
    }
  }
});
