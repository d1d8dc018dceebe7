// scripts/setup.mjs with a stand-in for the Salesforce CLI on PATH, which notes how it was called and answers as the CLI does.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { classNames } from '../lib/apex.js';
import { ORDER, manifestNames } from '../lib/manifest.js';
import { MANIFESTS, OPTIONAL, PROJECT, optional, parseXml } from '../lib/project.js';
import { faults, readTypes } from '../lib/wsdl.js';

const SCRIPT = join(PROJECT, 'scripts/setup.mjs');
const { withVoicePage } = await import(SCRIPT);
const { readCsv, readUsers } = await import(join(PROJECT, 'scripts/setup/users.mjs'));
const ROOM = mkdtempSync(join(tmpdir(), 'sidedoor-setup-'));
const CALLS = join(ROOM, 'calls');
const ORG = join(ROOM, 'org.json');
const LIST = join(ROOM, 'users.csv');
const LIBRARY = join(optional('streams'), 'staticresources/amazonConnectStreams.js');
const ADDRESSES = {
  SIDEDOOR_URL: 'https://sidedoor.test',
  SIDEDOOR_ISSUER: 'https://org.test',
  SIDEDOOR_CONNECT_URL: 'https://connect.test',
};

// It keeps an org in a file: users, what is assigned to them, and the manifest whose deployment fails.
writeFileSync(
  join(ROOM, 'sf'),
  `#!${process.execPath}
const fs = require('node:fs');
const words = process.argv.slice(2);
fs.appendFileSync(${JSON.stringify(CALLS)}, JSON.stringify({ cwd: process.cwd(), words }) + '\\n');
const org = JSON.parse(fs.readFileSync(${JSON.stringify(ORG)}, 'utf8'));
const values = (name) => words.flatMap((word, at) => (words[at - 1] === name ? [word] : []));
const end = (status, answer) => {
  fs.writeFileSync(${JSON.stringify(ORG)}, JSON.stringify(org));
  console.log(JSON.stringify({ status, ...answer }));
  process.exit(status);
};
if (org.broken) { console.error(org.broken); process.exit(3); }
const asked = values('--target-org')[0];
if (!words.includes('--json') || asked !== 'acme') end(1, { message: 'No authorization information found for ' + asked });
const [a, b, c] = words;
const user = (name) => org.users.find((one) => one.Username.toLowerCase() === name.toLowerCase());
if (a === 'data' && b === 'query') {
  const soql = values('--query')[0];
  const listed = [...soql.split(' IN ')[1].split(')')[0].matchAll(/'([^']*)'/g)].map(([, name]) => name);
  const found = org.users.filter((one) => listed.includes(one.Username.toLowerCase()));
  const assigned = (one, type, name, value) => ({ Assignee: { Username: one.Username }, [type]: { [name]: value } });
  const pairs = (key, type, name) => found.flatMap((one) => one[key].map((value) => assigned(one, type, name, value)));
  if (soql.includes('FROM User ')) end(0, { result: { records: found } });
  if (soql.includes('FROM PermissionSetAssignment ')) end(0, { result: { records: pairs('sets', 'PermissionSet', 'Name') } });
  if (soql.includes('FROM PermissionSetLicenseAssign ')) {
    end(0, { result: { records: pairs('licences', 'PermissionSetLicense', 'DeveloperName') } });
  }
}
if (a === 'org' && b === 'assign') {
  const one = user(values('--on-behalf-of')[0]);
  const failures = [];
  for (const name of values('--name')) {
    const list = c === 'permset' ? one.sets : one.licences;
    if (list.includes(name)) failures.push({ name: one.Username, message: 'Duplicate PermissionSetAssignment. Assignee: ' + one.Username });
    else if (c === 'permset' && name === 'Sidedoor_Integration' && one.licences.length === 0) {
      failures.push({ name: one.Username, message: "The user license doesn't allow the permission" });
    } else list.push(name);
  }
  end(failures.length > 0 ? 1 : 0, { result: { successes: [], failures } });
}
if (a === 'data' && b === 'update') {
  const one = user(/^Username='(.*)'$/.exec(values('--where')[0])[1]);
  const [, field, value] = /^(\\w+)='(.*)'$/.exec(values('--values')[0]);
  one[field] = value;
  end(0, { result: { id: '005000000000001AAA', success: true } });
}
if (a === 'project') {
  const what = (values('--manifest')[0] ?? values('--source-dir')[0]).split('/').at(-1);
  if (what === org.failing) {
    const componentFailures = [{ fullName: 'Sidedoor', problem: 'no Certificate named Sidedoor_JWT found' }];
    end(1, { name: 'FailedDeploy', message: 'The deployment failed', result: { details: { componentFailures } } });
  }
  end(0, { result: { success: true } });
}
end(1, { message: 'the stand-in does not know ' + words.join(' ') });
`,
);
chmodSync(join(ROOM, 'sf'), 0o755);
after(() => rmSync(ROOM, { recursive: true }));

const user = (name, more = {}) => ({
  Username: name,
  IsActive: true,
  FederationIdentifier: null,
  sets: [],
  licences: [],
  ...more,
});
let org;
beforeEach(() => {
  org = {
    users: [user('Jane@acme.example'), user('joe@acme.example'), user('olga@acme.example'), user('sidedoor@acme.example')],
  };
  rmSync(CALLS, { force: true });
  writeFileSync(
    LIST,
    `username,role,connect_username
jane@acme.example,supervisor,jane
joe@acme.example,agent,joe
olga@acme.example,operations,
sidedoor@acme.example,integration,
`,
  );
});

function run(words, environment = ADDRESSES, path = `${ROOM}${delimiter}${process.env.PATH}`) {
  writeFileSync(ORG, JSON.stringify(org));
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SIDEDOOR_')));
  const done = spawnSync(process.execPath, [SCRIPT, ...words], {
    encoding: 'utf8',
    env: { ...clean, ...environment, PATH: path },
  });
  const calls = existsSync(CALLS)
    ? readFileSync(CALLS, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
  rmSync(CALLS, { force: true });
  org = JSON.parse(readFileSync(ORG, 'utf8'));
  return { ...done, calls, lines: calls.map(({ words: given }) => given.filter((word) => word !== '--json').join(' ')) };
}
const changes = ({ lines }) => lines.filter((line) => !line.startsWith('data query'));

test('without --apply nothing is called and the commands are printed', () => {
  for (const [words, expected] of [
    [['deploy'], /manifest\/core\.xml[^]*callout\.xml[^]*reports\.xml[^]*flows\.xml/],
    [
      ['users', '--users', LIST],
      /org assign permset --name Sidedoor_Supervisor --name Sidedoor_Callout --on-behalf-of jane@acme\.example/,
    ],
    [['trusted'], /trusted-ccp\.xml/],
    [['pages', '--voice'], /voice-page\.xml[^]*app\.xml/],
  ]) {
    const done = run([...words, '--org', 'acme'], {});
    assert.equal(done.status, 0, done.stderr);
    assert.deepEqual(done.calls, [], words[0]);
    assert.match(done.stdout, expected);
    assert.match(done.stdout, /Nothing was called\. Repeat with --apply/);
  }
});

test('deploy runs the manifests in order, voice and messaging only if asked', () => {
  const plain = run(['deploy', '--org', 'acme', '--apply']);
  assert.equal(plain.status, 0, plain.stderr);
  const manifests = (done) => done.calls.map(({ words }) => words[words.indexOf('--manifest') + 1]);
  assert.deepEqual(
    manifests(plain),
    ORDER.slice(0, 4).map((name) => `manifest/${name}.xml`),
  );
  assert.ok(plain.calls.every(({ cwd }) => cwd === PROJECT));
  const all = run(['deploy', '--org', 'acme', '--apply', '--voice']);
  assert.deepEqual(manifests(all).slice(4), ['../manifest/voice.xml']);
  assert.ok(all.calls.slice(4).every(({ cwd }) => cwd === OPTIONAL));
  const chats = run(['deploy', '--org', 'acme', '--apply', '--messaging']);
  assert.deepEqual(manifests(chats).slice(4), ['../manifest/messaging.xml'], 'an org may have chats and no VoiceCall');
  const both = run(['deploy', '--org', 'acme', '--apply', '--messaging', '--voice']);
  assert.deepEqual(manifests(both).slice(4), ['../manifest/voice.xml', '../manifest/messaging.xml']);
  assert.ok(both.calls.slice(4).every(({ cwd }) => cwd === OPTIONAL));
  const one = run(['deploy', '--org', 'acme', '--apply', '--only', 'reports']);
  assert.deepEqual(manifests(one), ['manifest/reports.xml']);
  for (const name of [...manifests(all), ...manifests(both)].map((path) => path.split('/').at(-1)))
    assert.ok(existsSync(join(MANIFESTS, name)), name);
});

test('deploy runs every Apex test of the project with the classes', () => {
  const { calls } = run(['deploy', '--org', 'acme', '--apply', '--only', 'callout']);
  const words = calls[0].words;
  const tests = words.filter((_, at) => words[at - 1] === '--tests');
  assert.deepEqual(
    tests.sort(),
    classNames().filter((name) => name.endsWith('Test')),
  );
});

test('deploy stops at a failure, names it, and can be repeated', () => {
  org.failing = 'callout.xml';
  const done = run(['deploy', '--org', 'acme', '--apply']);
  assert.equal(done.status, 1);
  assert.equal(done.calls.length, 2);
  assert.match(done.stderr, /callout\.xml[^]*The deployment failed[^]*Sidedoor: no Certificate named Sidedoor_JWT found/);
  assert.match(done.stderr, /1 commands before this one succeeded/);
  delete org.failing;
  assert.equal(run(['deploy', '--org', 'acme', '--apply']).calls.length, 4);
});

test('an address that is missing or wrong is refused before anything is called', () => {
  const missing = run(['deploy', '--org', 'acme', '--apply', '--only', 'callout'], {});
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /set SIDEDOOR_URL and SIDEDOOR_ISSUER/);
  const wrong = run(['trusted', '--org', 'acme', '--apply'], { SIDEDOOR_CONNECT_URL: 'https://acme.my.connect.aws/ccp-v2/' });
  assert.match(wrong.stderr, /expected https:\/\/ and a host, without a path/);
  assert.deepEqual([...missing.calls, ...wrong.calls], []);
});

test('users get what their role needs, and a second run changes nothing', () => {
  const words = ['users', '--users', LIST, '--org', 'acme', '--apply'];
  const first = run(words);
  assert.equal(first.status, 0, first.stderr);
  const has = (name) => org.users.find((one) => one.Username === name);
  assert.deepEqual(has('Jane@acme.example').sets, ['Sidedoor_Supervisor', 'Sidedoor_Callout']);
  assert.equal(has('Jane@acme.example').FederationIdentifier, 'jane');
  assert.deepEqual([has('joe@acme.example').sets, has('joe@acme.example').FederationIdentifier], [[], 'joe']);
  assert.deepEqual(has('olga@acme.example').sets, ['Sidedoor_Operations']);
  assert.deepEqual(has('sidedoor@acme.example').licences, ['SalesforceAPIIntegrationPsl']);
  assert.deepEqual(has('sidedoor@acme.example').sets, ['Sidedoor_Integration']);
  const second = run(words);
  assert.equal(second.status, 0, second.stderr);
  assert.deepEqual(changes(second), []);
  assert.match(second.stdout, /4 users: 0 changes/);
  const more = run([...words, '--voice', '--app']);
  assert.deepEqual(
    changes(more).map((line) => line.replace(/ --target-org.*/, '')),
    [
      'org assign permset --name Sidedoor_Voice_Reports --name Sidedoor_App --on-behalf-of jane@acme.example',
      'org assign permset --name Sidedoor_Voice_Reports --on-behalf-of olga@acme.example',
      'org assign permset --name Sidedoor_Voice_Calls --on-behalf-of sidedoor@acme.example',
    ],
  );
});

test('with chats, readers can read the lookup and the integration user can write it', () => {
  const words = ['users', '--users', LIST, '--org', 'acme', '--apply', '--messaging'];
  assert.equal(run(words).status, 0);
  const sets = (name) => org.users.find((one) => one.Username === name).sets;
  assert.deepEqual(sets('Jane@acme.example'), ['Sidedoor_Supervisor', 'Sidedoor_Callout', 'Sidedoor_Messaging_Reports']);
  assert.deepEqual(sets('olga@acme.example'), ['Sidedoor_Operations', 'Sidedoor_Messaging_Reports']);
  assert.deepEqual(sets('sidedoor@acme.example'), ['Sidedoor_Integration', 'Sidedoor_Messaging_Sessions']);
  assert.deepEqual(sets('joe@acme.example'), []);
  assert.deepEqual(changes(run(words)), []);
});

test('an operator also gets the sets of a supervisor, and an agent a set only for notices', () => {
  writeFileSync(LIST, 'username,role,connect_username\njane@acme.example,operator,jane\njoe@acme.example,agent,joe\n');
  assert.equal(run(['users', '--users', LIST, '--org', 'acme', '--apply', '--voice', '--app']).status, 0);
  const sets = (name) => org.users.find((one) => one.Username === name).sets;
  assert.deepEqual(sets('Jane@acme.example'), [
    'Sidedoor_Supervisor',
    'Sidedoor_Callout',
    'Sidedoor_Operator',
    'Sidedoor_Operator_Callout',
    'Sidedoor_Voice_Reports',
    'Sidedoor_App',
  ]);
  assert.deepEqual(sets('joe@acme.example'), []);
  assert.equal(run(['users', '--users', LIST, '--org', 'acme', '--apply', '--notice']).status, 0);
  assert.deepEqual(sets('joe@acme.example'), ['Sidedoor_Agent']);
});

test('supervisors who have no right to run flows get the set for ours', () => {
  assert.equal(run(['users', '--users', LIST, '--org', 'acme', '--apply', '--flow']).status, 0);
  const sets = Object.fromEntries(org.users.map((one) => [one.Username, one.sets]));
  assert.deepEqual(
    Object.keys(sets).filter((name) => sets[name].includes('Sidedoor_Listen_Flow')),
    ['Jane@acme.example'],
  );
});

test('a Federation ID that has another value is never overwritten', () => {
  org.users[0].FederationIdentifier = 'jane@sso.example';
  const done = run(['users', '--users', LIST, '--org', 'acme', '--apply']);
  assert.equal(done.status, 1);
  assert.match(done.stderr, /line 2: FederationIdentifier of jane@acme\.example is already "jane@sso\.example"; .*--user-field/);
  assert.deepEqual(changes(done), []);
  const other = run(['users', '--users', LIST, '--org', 'acme', '--apply', '--user-field', 'Connect_Username__c']);
  assert.equal(other.status, 0, other.stderr);
  assert.equal(org.users[0].Connect_Username__c, 'jane');
  assert.equal(org.users[0].FederationIdentifier, 'jane@sso.example');
});

test('a user whom the org lacks, or who is not active, stops the step before a change', () => {
  org.users = org.users.slice(1);
  org.users[0].IsActive = false;
  const done = run(['users', '--users', LIST, '--org', 'acme', '--apply']);
  assert.equal(done.status, 1);
  assert.match(done.stderr, /line 2: the org has no user jane@acme\.example\n {2}line 3: joe@acme\.example is not active/);
  assert.deepEqual(changes(done), []);
});

test('every fault of the list is named with its line', () => {
  writeFileSync(
    LIST,
    'role,username,connect_username\nboss,a@b.example,\nagent,"x\' OR",\nagent,a@b.example,"a b"\nagent,a@b.example\n',
  );
  const done = run(['users', '--users', LIST, '--org', 'acme']);
  assert.equal(done.status, 2);
  for (const text of [
    /line 2: unknown role "boss"; expected one of supervisor, operator, operations, integration, agent/,
    /line 3: username "x' OR"/,
    /line 4: connect_username "a b"/,
    /line 4: a@b\.example is in line 2 already/,
    /line 5: has 2 cells; expected 3/,
  ]) {
    assert.match(done.stderr, text);
  }
  writeFileSync(LIST, 'user,role\nx,agent\n');
  assert.match(
    run(['users', '--users', LIST, '--org', 'acme']).stderr,
    /line 1: expected the columns username, role, connect_username; found user, role/,
  );
});

test('a list with quotes, a byte order mark and Windows line ends is read', () => {
  assert.deepEqual(
    readCsv('\uFEFFa,b\r\n"x, y","say ""hi"""\r\n\r\n1,2').map(({ line, cells }) => [line, ...cells]),
    [
      [1, 'a', 'b'],
      [2, 'x, y', 'say "hi"'],
      [4, '1', '2'],
    ],
  );
  const { people, faults: found } = readUsers('Connect_Username,Role,Username\njane,Supervisor,Jane@Acme.example\n', {
    voice: true,
  });
  assert.deepEqual(found, []);
  assert.deepEqual([people[0].username, people[0].role, people[0].connectUsername], ['jane@acme.example', 'supervisor', 'jane']);
  assert.ok(people[0].sets.includes('Sidedoor_Voice_Reports'));
  assert.deepEqual(readUsers('username,role,connect_username\n').faults, ['the list names no user']);
});

test('a long list is asked for in parts', () => {
  org.users = Array.from({ length: 120 }, (_, n) => user(`agent${n}@acme.example`, { FederationIdentifier: `agent${n}` }));
  writeFileSync(
    LIST,
    ['username,role,connect_username', ...org.users.map((one, n) => `${one.Username},agent,agent${n}`)].join('\n'),
  );
  const done = run(['users', '--users', LIST, '--org', 'acme', '--apply']);
  assert.equal(done.status, 0, done.stderr);
  assert.equal(done.calls.length, 9);
  assert.deepEqual(changes(done), []);
});

test('streams refuses another file, and deploys the library from its own project', () => {
  const file = join(ROOM, 'connect-streams-min.js');
  writeFileSync(file, 'console.log("something else")');
  assert.match(run(['streams', '--file', file, '--org', 'acme', '--apply']).stderr, /does not contain initCCP/);
  writeFileSync(file, 'connect.core.initCCP = () => {};');
  const kept = existsSync(LIBRARY) ? readFileSync(LIBRARY) : null;
  try {
    const done = run(['streams', '--file', file, '--org', 'acme', '--apply']);
    assert.equal(done.status, 0, done.stderr);
    assert.deepEqual(done.lines, ['project deploy start --source-dir main --wait 30 --target-org acme']);
    assert.equal(done.calls[0].cwd, join(OPTIONAL, 'streams'));
    assert.equal(readFileSync(LIBRARY, 'utf8'), readFileSync(file, 'utf8'));
  } finally {
    if (kept) writeFileSync(LIBRARY, kept);
    else rmSync(LIBRARY, { force: true });
  }
});

test('trusted adds the stream only if its address is set', () => {
  assert.equal(run(['trusted', '--org', 'acme', '--apply']).calls.length, 1);
  const both = run(['trusted', '--org', 'acme', '--apply'], { ...ADDRESSES, SIDEDOOR_STREAM_URL: 'https://stream.test' });
  assert.deepEqual(
    both.calls.map(({ words }) => words[4]),
    ['../manifest/trusted-ccp.xml', '../manifest/trusted-stream.xml'],
  );
});

test('pages activates the page of a call only in the app, and leaves the project as it is', () => {
  const path = join(optional('app'), 'applications/Sidedoor.app-meta.xml');
  const app = readFileSync(path, 'utf8');
  const done = run(['pages', '--voice', '--org', 'acme', '--apply']);
  assert.equal(done.status, 0, done.stderr);
  assert.deepEqual(
    done.calls.map(({ words }) => words[4].split('/').at(-1)),
    ['voice-page.xml', 'app.xml'],
  );
  assert.equal(readFileSync(path, 'utf8'), app);
  assert.ok(!existsSync(done.calls[1].cwd), 'the copy is removed');
  const made = parseXml(withVoicePage(app));
  assert.deepEqual(faults(made, readTypes()), []);
  assert.throws(() => withVoicePage(withVoicePage(app)), /unexpected form/);
});

test('what sf says is passed on, and a missing sf is named', () => {
  assert.match(run(['deploy', '--org', 'other', '--apply']).stderr, /No authorization information found for other/);
  org.broken = 'Segmentation fault';
  assert.match(run(['deploy', '--org', 'acme', '--apply']).stderr, /exit code 3, and no JSON: Segmentation fault/);
  const none = run(['deploy', '--org', 'acme', '--apply'], ADDRESSES, '/nowhere');
  assert.equal(none.status, 1);
  assert.match(none.stderr, /sf is not on PATH/);
});

test('wrong usage is explained', () => {
  for (const [words, expected] of [
    [[], /^usage: /],
    [['fly', '--org', 'acme'], /unknown step fly; expected one of deploy, users, streams, trusted, pages/],
    [['deploy'], /--org is missing/],
    [['deploy', '--org'], /--org needs a value/],
    [['deploy', '--org', 'acme', '--force'], /unknown option --force/],
    [['deploy', '--org', 'acme', '--only', 'all'], /unknown manifest all/],
    [['users', '--org', 'acme'], /--users is missing/],
    [['users', '--org', 'acme', '--users', '/nowhere.csv'], /does not exist/],
  ]) {
    const done = run(words);
    assert.equal(done.status, 2, words.join(' '));
    assert.match(done.stdout + done.stderr, expected);
  }
  assert.equal(run(['--help']).status, 0);
  assert.ok(['voice', 'messaging'].every((name) => manifestNames().includes(name)));
});
