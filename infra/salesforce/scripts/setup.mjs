#!/usr/bin/env node
// Does the parts of the set-up that the Salesforce CLI can do (docs/salesforce-setup.md):
//   node scripts/setup.mjs STEP --org ALIAS [options] [--apply]
// Without --apply it prints the commands and calls nothing. With --apply it runs them and stops at the first that fails. Every step can be
// repeated: a deployment replaces what it deployed before, and what a user already has is left as it is.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readUsers } from './setup/users.mjs';

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..');
const OPTIONAL = join(PROJECT, 'optional');
const STREAMS = join(OPTIONAL, 'streams');
const LIBRARY = join(STREAMS, 'main/default/staticresources/amazonConnectStreams.js');
const LARGEST_RESOURCE = 5 * 1024 * 1024;
const INTEGRATION_LICENCE = 'SalesforceAPIIntegrationPsl';
const ADDRESS = /^https:\/\/[A-Za-z0-9.-]+(:\d+)?$/;
/** How many names one query holds, because the CLI sends a query in the address. */
const NAMES_PER_QUERY = 50;

const USAGE = `usage: node scripts/setup.mjs STEP --org ALIAS [options] [--apply]

  deploy     the manifests core, callout, reports and flows, in this order
               --voice        also voice, in an org with VoiceCall
               --messaging    also messaging, in an org with MessagingSession
               --only NAME    only this manifest
               needs SIDEDOOR_URL and SIDEDOOR_ISSUER for callout
  users      permission sets and Federation IDs
               --users FILE   CSV with the columns username, role, connect_username
               --voice, --messaging, --app    also the sets of these parts
               --flow            also the set with which supervisors may run the flow Listen with Sidedoor
               --notice          also the set with which agents are notified of supervision
               --user-field NAME              this field of User instead of FederationIdentifier
  streams    the library amazon-connect-streams as a static resource
               --file FILE    connect-streams-min.js
  trusted    trusted URLs
               needs SIDEDOOR_CONNECT_URL for the CCP; SIDEDOOR_STREAM_URL for delivery mode SSE, if it is set
  pages      the app with the board, and the CCP in its utility bar
               --voice        also the record page of VoiceCall, activated in this app only
               needs SIDEDOOR_CONNECT_URL

Without --apply it prints the commands and calls nothing.`;

/** A mistake of the caller or a failure of the CLI: its message is all that is printed. */
class Failure extends Error {}

/** The manifests for every org, in this order, and those for orgs that have their object, each asked for by the option of its name. */
const EVERYWHERE = ['core', 'callout', 'reports', 'flows'];
const SOMEWHERE = ['voice', 'messaging'];
const OPTIONS = { '--org': true, '--users': true, '--user-field': true, '--file': true, '--only': true };
const FLAGS = ['--apply', '--voice', '--messaging', '--app', '--flow', '--notice'];

function readArguments(words) {
  const [step, ...rest] = words;
  const given = {};
  while (rest.length > 0) {
    const name = rest.shift();
    if (FLAGS.includes(name)) given[name.slice(2)] = true;
    else if (name in OPTIONS) {
      if (rest.length === 0 || rest[0].startsWith('--')) throw new Failure(`${name} needs a value`);
      given[name.slice(2)] = rest.shift();
    } else throw new Failure(`unknown option ${name}; expected one of ${[...Object.keys(OPTIONS), ...FLAGS].join(', ')}`);
  }
  if (!(step in STEPS))
    throw new Failure(`unknown step ${step ?? '(none)'}; expected one of ${Object.keys(STEPS).join(', ')}\n\n${USAGE}`);
  if (!given.org) throw new Failure(`--org is missing: the alias or user name of the org, as \`sf org list\` shows it`);
  return { step, given };
}

/** Prints commands, or runs them. */
class Runner {
  constructor(org, apply) {
    this.org = org;
    this.apply = apply;
    this.done = 0;
  }

  say(line) {
    console.log(line);
  }

  #call(folder, words) {
    const run = spawnSync('sf', [...words, '--target-org', this.org, '--json'], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, SF_DISABLE_TELEMETRY: 'true' },
    });
    if (run.error?.code === 'ENOENT')
      throw new Failure('sf is not on PATH: install the Salesforce CLI and log in with `sf org login web`');
    if (run.error) throw new Failure(`sf could not be started: ${run.error.message}`);
    let answer;
    try {
      answer = JSON.parse(run.stdout);
    } catch {
      throw new Failure(
        `sf ${words.join(' ')}\n  exit code ${run.status}, and no JSON: ${(run.stderr || run.stdout).trim().slice(0, 2000)}`,
      );
    }
    if (run.status !== 0) throw new Failure(`sf ${words.join(' ')}\n  ${faultOf(answer)}`);
    return answer.result;
  }

  /** Changes the org. */
  change(folder, words, environment = []) {
    const missing = environment.filter((name) => !process.env[name]);
    if (missing.length > 0 && this.apply) throw new Failure(`set ${missing.join(' and ')} in the environment first`);
    for (const name of environment.filter((one) => process.env[one])) {
      if (!ADDRESS.test(process.env[name]))
        throw new Failure(`${name} is "${process.env[name]}"; expected https:// and a host, without a path`);
    }
    const shown = words.map((word) => (/^[\w./=:@-]+$/.test(word) ? word : `"${word.replaceAll('"', '\\"')}"`)).join(' ');
    const settings = environment.map((name) => `${name}=${process.env[name] ?? '…'} `).join('');
    const place = folder === PROJECT ? '' : `cd ${folder} && `;
    this.say(`${this.apply ? 'running: ' : ''}${place}${settings}sf ${shown} --target-org ${this.org}`);
    if (this.apply) this.#call(folder, words);
    this.done += 1;
  }

  /** The records of a query; null without --apply. */
  query(soql) {
    return this.apply ? this.#call(PROJECT, ['data', 'query', '--query', soql]).records : null;
  }
}

/** What went wrong, from the JSON that sf prints. */
function faultOf(answer) {
  const failures = answer.result?.details?.componentFailures ?? answer.result?.files?.filter((file) => file.error) ?? [];
  const lines = [failures].flat().map((one) => `${one.fullName ?? one.fileName ?? '?'}: ${one.problem ?? one.error}`);
  const other = [answer.result?.failures ?? []].flat().map((one) => `${one.name}: ${one.message}`);
  return [answer.message ?? answer.name ?? 'no message', ...lines, ...other].join('\n  ');
}

/** The Apex tests of the project. In production Salesforce runs tests with every deployment of Apex; these are enough. */
function apexTests() {
  const files = readdirSync(join(PROJECT, 'force-app/main/default/classes'));
  return files.filter((file) => file.endsWith('Test.cls')).map((file) => file.slice(0, -'.cls'.length));
}

function deploy(runner, given) {
  const all = [...EVERYWHERE, ...SOMEWHERE];
  if (given.only && !all.includes(given.only))
    throw new Failure(`unknown manifest ${given.only}; expected one of ${all.join(', ')}`);
  const wanted = given.only ? [given.only] : all.filter((name) => !SOMEWHERE.includes(name) || given[name]);
  for (const name of wanted) deployManifest(runner, name);
  if (runner.apply) return;
  runner.say('\nIf one fails, correct what it names and repeat the step: what was deployed before it stays.');
}

function deployManifest(runner, name, project = null) {
  const folder = project ?? (EVERYWHERE.includes(name) ? PROJECT : OPTIONAL);
  const manifest =
    folder === PROJECT
      ? `manifest/${name}.xml`
      : folder === OPTIONAL
        ? `../manifest/${name}.xml`
        : join(PROJECT, `manifest/${name}.xml`);
  const tests =
    name === 'callout' ? ['--test-level', 'RunSpecifiedTests', ...apexTests().flatMap((one) => ['--tests', one])] : [];
  const needed = {
    callout: ['SIDEDOOR_URL', 'SIDEDOOR_ISSUER'],
    app: ['SIDEDOOR_CONNECT_URL'],
    'trusted-ccp': ['SIDEDOOR_CONNECT_URL'],
    'trusted-stream': ['SIDEDOOR_STREAM_URL'],
  };
  runner.change(folder, ['project', 'deploy', 'start', '--manifest', manifest, ...tests, '--wait', '30'], needed[name]);
}

function users(runner, given) {
  if (!given.users) throw new Failure('--users is missing: a CSV with the columns username, role, connect_username');
  if (!existsSync(given.users)) throw new Failure(`${given.users} does not exist`);
  const field = given['user-field'] ?? 'FederationIdentifier';
  if (!/^[A-Za-z]\w*$/.test(field)) throw new Failure(`--user-field ${field} is not the name of a field`);
  const { people, faults } = readUsers(readFileSync(given.users, 'utf8'), given);
  if (faults.length > 0)
    throw new Failure(`${given.users} has ${faults.length} faults; nothing was changed:\n  ${faults.join('\n  ')}`);
  const org = whatTheOrgHas(runner, people, field);
  for (const person of people) {
    if (person.licence && !org?.licences.has(`${person.username}/${INTEGRATION_LICENCE}`)) {
      runner.change(PROJECT, [
        'org',
        'assign',
        'permsetlicense',
        '--name',
        INTEGRATION_LICENCE,
        '--on-behalf-of',
        person.username,
      ]);
    }
    const sets = person.sets.filter((set) => !org?.sets.has(`${person.username}/${set}`));
    if (sets.length > 0) {
      const names = sets.flatMap((set) => ['--name', set]);
      runner.change(PROJECT, ['org', 'assign', 'permset', ...names, '--on-behalf-of', person.username]);
    }
    if (person.connectUsername && org?.names.get(person.username) !== person.connectUsername) {
      const where = `Username='${person.username}'`;
      const values = `${field}='${person.connectUsername}'`;
      runner.change(PROJECT, ['data', 'update', 'record', '--sobject', 'User', '--where', where, '--values', values]);
    }
  }
  runner.say(
    runner.apply
      ? `${people.length} users: ${runner.done} changes, the rest was there already`
      : '\nWith --apply, what a user already has is left out.',
  );
}

/** What the users of the list have, so that it is not assigned again; null without --apply. Fails before anything is changed. */
function whatTheOrgHas(runner, people, field) {
  if (!runner.apply) return null;
  const org = { names: new Map(), sets: new Set(), licences: new Set() };
  const active = new Map();
  const usernames = people.map((person) => person.username);
  for (let from = 0; from < usernames.length; from += NAMES_PER_QUERY) {
    const list = usernames
      .slice(from, from + NAMES_PER_QUERY)
      .map((name) => `'${name}'`)
      .join(',');
    for (const user of runner.query(`SELECT Username, IsActive, ${field} FROM User WHERE Username IN (${list})`)) {
      const username = user.Username.toLowerCase();
      active.set(username, user.IsActive);
      if (user[field]) org.names.set(username, user[field]);
    }
    const whose = `WHERE Assignee.Username IN (${list})`;
    const sets = `SELECT Assignee.Username, PermissionSet.Name FROM PermissionSetAssignment ${whose} AND PermissionSet.Name LIKE 'Sidedoor%'`;
    for (const one of runner.query(sets)) org.sets.add(`${one.Assignee.Username.toLowerCase()}/${one.PermissionSet.Name}`);
    const licences = `SELECT Assignee.Username, PermissionSetLicense.DeveloperName FROM PermissionSetLicenseAssign ${whose}`;
    for (const one of runner.query(licences))
      org.licences.add(`${one.Assignee.Username.toLowerCase()}/${one.PermissionSetLicense.DeveloperName}`);
  }
  const faults = people.flatMap(({ username, connectUsername, line }) => {
    if (!active.has(username)) return [`line ${line}: the org has no user ${username}`];
    if (!active.get(username)) return [`line ${line}: ${username} is not active`];
    const other = org.names.get(username);
    // Single sign-on may use the field for another value.
    if (connectUsername && other && other !== connectUsername) {
      return [
        `line ${line}: ${field} of ${username} is already "${other}"; correct the list, empty the field in the org, or use --user-field`,
      ];
    }
    return [];
  });
  if (faults.length > 0) throw new Failure(`the list does not fit the org; nothing was changed:\n  ${faults.join('\n  ')}`);
  return org;
}

function streams(runner, given) {
  if (!given.file) throw new Failure('--file is missing: connect-streams-min.js, see optional/streams/README.md');
  const file = resolve(given.file);
  if (!existsSync(file)) throw new Failure(`${given.file} does not exist`);
  const code = readFileSync(file);
  if (code.length > LARGEST_RESOURCE)
    throw new Failure(`${given.file} has ${code.length} bytes; a static resource may have ${LARGEST_RESOURCE}`);
  if (!code.includes('initCCP')) throw new Failure(`${given.file} is not amazon-connect-streams: it does not contain initCCP`);
  runner.say(`${runner.apply ? 'running: ' : ''}cp ${file} ${LIBRARY}`);
  if (runner.apply) copyFileSync(file, LIBRARY);
  runner.change(STREAMS, ['project', 'deploy', 'start', '--source-dir', 'main', '--wait', '30']);
}

function trusted(runner) {
  deployManifest(runner, 'trusted-ccp');
  if (process.env.SIDEDOOR_STREAM_URL) deployManifest(runner, 'trusted-stream');
}

/** Activates the page of VoiceCall in the app Supervision, and nowhere else. */
const ACTIVATION = `    <actionOverrides>
        <actionName>View</actionName>
        <content>Sidedoor_Voice_Call</content>
        <formFactor>Large</formFactor>
        <skipRecordTypeSelect>false</skipRecordTypeSelect>
        <type>Flexipage</type>
        <pageOrSobjectType>VoiceCall</pageOrSobjectType>
    </actionOverrides>
`;

/** The app's metadata, with the page of VoiceCall activated. */
export function withVoicePage(app) {
  const at = app.indexOf('    <brand>');
  if (at < 0 || app.includes('<actionOverrides>')) throw new Failure('the app has an unexpected form');
  return app.slice(0, at) + ACTIVATION + app.slice(at);
}

function pages(runner, given) {
  if (!given.voice) {
    deployManifest(runner, 'app');
    return;
  }
  deployManifest(runner, 'voice-page');
  const copy = mkdtempSync(join(tmpdir(), 'sidedoor-pages-'));
  try {
    cpSync(OPTIONAL, copy, { recursive: true });
    const app = join(copy, 'app/main/default/applications/Sidedoor.app-meta.xml');
    writeFileSync(app, withVoicePage(readFileSync(app, 'utf8')));
    runner.say('# in a copy of optional/ in which the app activates the page of VoiceCall:');
    deployManifest(runner, 'app', copy);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

const STEPS = { deploy, users, streams, trusted, pages };

function main(words) {
  if (words.length === 0 || words.includes('--help')) {
    console.log(USAGE);
    return words.length === 0 ? 2 : 0;
  }
  let runner = null;
  try {
    const { step, given } = readArguments(words);
    runner = new Runner(given.org, Boolean(given.apply));
    STEPS[step](runner, given);
    if (!runner.apply) console.log('\nNothing was called. Repeat with --apply to run this.');
    return 0;
  } catch (e) {
    if (!(e instanceof Failure)) throw e;
    console.error(e.message);
    if (runner?.apply && runner.done > 0)
      console.error(`${runner.done} commands before this one succeeded; the step can be repeated.`);
    return runner?.apply ? 1 : 2;
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = main(process.argv.slice(2));
}
