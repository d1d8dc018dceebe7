// Every metadata file is well-formed, matches Salesforce's WSDL, and is accepted by the library that the Salesforce CLI deploys with.
// The project's files match their published schemas. No file has a secret or an address that is not an example.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import Ajv from 'ajv';
import {
  API_VERSION,
  OPTIONAL,
  PROJECT,
  SOURCES,
  all,
  filesBelow,
  metadataFiles,
  optional,
  optionalParts,
  parseXml,
  readXml,
  text,
  xmlFault,
} from '../lib/project.js';
import { faults, readTypes } from '../lib/wsdl.js';

process.env.SF_DISABLE_LOG_FILE = 'true';
const require = createRequire(import.meta.url);
const FILES = metadataFiles();
/** The folders of the two projects: [folder, its metadata files]. */
const FOLDERS = [SOURCES, ...[...optionalParts(), 'streams'].map(optional)].map((folder) => [folder, metadataFiles(folder)]);
const WSDL = readTypes();

test('every XML file is well-formed', () => {
  assert.ok(FILES.length > 40);
  for (const [folder, files] of FOLDERS) {
    assert.ok(files.length > 0, folder);
    for (const file of files) assert.equal(xmlFault(readFileSync(join(folder, file), 'utf8')), null, file);
  }
  assert.notEqual(xmlFault('<a><b></a>'), null);
});

test('every file matches Salesforce’s WSDL', () => {
  assert.ok(WSDL.types.size > 1000 && WSDL.enums.size > 300);
  for (const [folder, files] of FOLDERS) {
    for (const path of files) assert.deepEqual(faults(readXml(path, folder), WSDL), [], path);
  }
});

test('a file that does not match the WSDL is found', () => {
  const field = (inner) => faults(parseXml(`<CustomField>${inner}</CustomField>`), WSDL);
  assert.deepEqual(field('<label>A</label><type>Text</type>'), []);
  assert.match(field('<lable>A</lable>')[0], /no such element/);
  assert.match(field('<type>Txt</type>')[0], /is not a FieldType/);
  assert.match(field('<unique>yes</unique>')[0], /is not a boolean/);
  assert.match(field('<label>A</label><label>B</label>')[0], /may occur only once/);
  const permissions = '<classAccesses><apexClass>A</apexClass><enabled>true</enabled></classAccesses>';
  const apart = `<PermissionSet>${permissions}<label>A</label>${permissions}</PermissionSet>`;
  assert.match(faults(parseXml(apart), WSDL)[0], /must be adjacent/);
  assert.match(faults(parseXml('<PermissionSet/>'), WSDL)[0], /label is missing/);
  const override = '<actionOverrides><actionName>View</actionName><pageOrSobjectType>Case</pageOrSobjectType></actionOverrides>';
  assert.deepEqual(faults(parseXml(`<CustomApplication>${override}</CustomApplication>`), WSDL), [], 'a type that extends a later one');
  assert.match(faults(parseXml('<Nonsense/>'), WSDL)[0], /no type Nonsense/);
});

test('the sources convert to the metadata API format', async () => {
  const { ComponentSet, MetadataConverter } = require('@salesforce/source-deploy-retrieve');
  const folder = mkdtempSync(join(tmpdir(), 'sidedoor-metadata-'));
  try {
    const set = ComponentSet.fromSource(join(PROJECT, 'force-app'));
    set.sourceApiVersion = API_VERSION;
    const output = { type: 'directory', outputDirectory: folder, genUniqueDir: false };
    await new MetadataConverter().convert(set, 'metadata', output);
    const made = filesBelow(folder);
    for (const expected of ['package.xml', 'objects/VoiceCallParticipant__c.object', 'customMetadata/Sidedoor_Setting.Default.md']) {
      assert.ok(made.some((file) => file.endsWith(expected)), expected);
    }
    const object = parseXml(readFileSync(join(folder, made.find((f) => f.endsWith('VoiceCallParticipant__c.object'))), 'utf8'));
    assert.equal(all(object, 'fields').length, readdirSync(join(SOURCES, 'objects/VoiceCallParticipant__c/fields')).length);
    assert.deepEqual(faults(object, WSDL), [], 'the whole object');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the project and scratch org definitions match their schemas', () => {
  const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
  for (const [file, schema] of [
    ['sfdx-project.json', 'sfdx-project.schema.json'],
    ['optional/sfdx-project.json', 'sfdx-project.schema.json'],
    ['optional/streams/sfdx-project.json', 'sfdx-project.schema.json'],
    ['config/project-scratch-def.json', 'project-scratch-def.schema.json'],
  ]) {
    const ajv = new Ajv({ strict: false, validateFormats: false });
    const valid = ajv.compile(read(require.resolve(`@salesforce/schemas/${schema}`)));
    const given = read(join(PROJECT, file));
    // Salesforce's guide requires a quantity for this feature, while its published schema has only the name.
    const counted = given.features?.indexOf('ServiceCloudVoicePartnerTelephony:2') ?? -1;
    if (counted >= 0) given.features[counted] = 'ServiceCloudVoicePartnerTelephony';
    assert.ok(valid(given), `${file}: ${ajv.errorsText(valid.errors)}`);
    assert.ok(!valid({ packageDirectories: 1, features: 'x' }), `${schema} accepts anything`);
  }
  for (const folder of ['.', 'optional', 'optional/streams']) {
    assert.equal(read(join(PROJECT, folder, 'sfdx-project.json')).sourceApiVersion, API_VERSION, folder);
  }
});

test('a deployment puts the addresses in, and fails without them', async () => {
  const { ComponentSet, MetadataConverter } = require('@salesforce/source-deploy-retrieve');
  const before = process.cwd();
  const addresses = {
    SIDEDOOR_URL: 'https://sidedoor.test',
    SIDEDOOR_ISSUER: 'https://org.test',
    SIDEDOOR_CONNECT_URL: 'https://connect.test',
    SIDEDOOR_STREAM_URL: 'https://stream.test',
  };
  try {
    // A deployment always replaces the addresses; a conversion does only if this is set.
    process.env.SF_APPLY_REPLACEMENTS_ON_CONVERT = 'true';
    for (const [project, paths, names] of [
      [PROJECT, ['namedCredentials', 'externalCredentials'].map((kind) => join(SOURCES, kind)), ['SIDEDOOR_URL', 'SIDEDOOR_ISSUER']],
      [OPTIONAL, ['trusted-urls', 'app'].map((part) => join(OPTIONAL, part)), ['SIDEDOOR_CONNECT_URL', 'SIDEDOOR_STREAM_URL']],
    ]) {
      const folder = mkdtempSync(join(tmpdir(), 'sidedoor-replaced-'));
      const convert = () => {
        const set = ComponentSet.fromSource(paths);
        set.projectDirectory = project;
        return new MetadataConverter().convert(set, 'metadata', { type: 'directory', outputDirectory: folder, genUniqueDir: false });
      };
      try {
        process.chdir(project);
        for (const name of Object.keys(addresses)) delete process.env[name];
        await assert.rejects(convert, new RegExp(names.join('|')));
        for (const name of names) process.env[name] = addresses[name];
        await convert();
        const made = filesBelow(folder).map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
        for (const name of names) assert.ok(made.includes(`>${addresses[name]}`), name);
        if (project === PROJECT) assert.ok(made.includes(`>${addresses.SIDEDOOR_ISSUER}/operator<`), 'the issuer of operators');
        assert.ok(!made.includes('example.com') && !made.includes('acme'), 'an example was left');
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
  } finally {
    process.chdir(before);
    for (const name of ['SF_APPLY_REPLACEMENTS_ON_CONVERT', ...Object.keys(addresses)]) delete process.env[name];
  }
});

test('the text that a deployment replaces occurs exactly once', () => {
  for (const [project, wanted] of [
    [PROJECT, ['Sidedoor SIDEDOOR_ISSUER', 'Sidedoor SIDEDOOR_URL', 'Sidedoor_Operator SIDEDOOR_ISSUER', 'Sidedoor_Operator SIDEDOOR_URL']],
    [
      OPTIONAL,
      ['Sidedoor_Amazon_Connect SIDEDOOR_CONNECT_URL', 'Sidedoor_Stream SIDEDOOR_STREAM_URL', 'Sidedoor_UtilityBar SIDEDOOR_CONNECT_URL'],
    ],
  ]) {
    const { replacements } = JSON.parse(readFileSync(join(project, 'sfdx-project.json'), 'utf8'));
    const named = replacements.map((r) => `${basename(r.filename).split('.')[0]} ${r.replaceWithEnv}`);
    assert.deepEqual(named.sort(), wanted);
    for (const { filename, stringToReplace } of replacements) {
      const parts = readFileSync(join(project, filename), 'utf8').split(stringToReplace);
      assert.equal(parts.length, 2, `${stringToReplace} must occur once in ${filename}`);
    }
  }
});

test('the callout is signed for the user, only by the named credential', () => {
  const credential = readXml('externalCredentials/Sidedoor.externalCredential-meta.xml');
  assert.equal(text(credential, 'authenticationProtocol'), 'Jwt');
  const parameters = all(credential, 'externalCredentialParameters');
  const of = (type) => parameters.filter((p) => text(p, 'parameterType') === type);
  assert.deepEqual(of('PerUserPrincipal').map((p) => text(p, 'parameterName')), ['Supervisor']);
  assert.deepEqual(of('SigningCertificate').map((p) => text(p, 'certificate')), ['Sidedoor_JWT']);
  const claims = Object.fromEntries(of('JwtBodyClaim').map((p) => [text(p, 'parameterName'), text(p, 'parameterValue')]));
  assert.deepEqual(Object.keys(claims).sort(), ['aud', 'iss', 'sub']);
  assert.equal(claims.sub, '{!$User.Id}', 'a formula: the user who makes the callout');
  const named = readXml('namedCredentials/Sidedoor.namedCredential-meta.xml');
  assert.equal(text(named, 'namedCredentialType'), 'SecuredEndpoint');
  assert.equal(text(named, 'generateAuthorizationHeader'), 'true');
  assert.equal(text(named, 'allowMergeFieldsInHeader'), 'false');
  assert.equal(text(named, 'allowMergeFieldsInBody'), 'false');
  const reference = all(named, 'namedCredentialParameters').find((p) => text(p, 'parameterType') === 'Authentication');
  assert.equal(text(reference, 'externalCredential'), 'Sidedoor');
});

test('the operator’s callout is the same with another issuer and principal', () => {
  const read = (name) => readFileSync(join(SOURCES, `${name}-meta.xml`), 'utf8');
  const operators = read('externalCredentials/Sidedoor_Operator.externalCredential')
    .replace('my.salesforce.com/operator<', 'my.salesforce.com<')
    .replaceAll('>Operator<', '>Supervisor<')
    .replace('<label>Sidedoor Operator<', '<label>Sidedoor<')
    .replace(/<description>[^<]*<\/description>/g, '');
  assert.equal(operators, read('externalCredentials/Sidedoor.externalCredential').replace(/<description>[^<]*<\/description>/g, ''));
  const callout = read('namedCredentials/Sidedoor_Operator.namedCredential').replaceAll('Sidedoor_Operator', 'Sidedoor');
  assert.equal(callout.replace('<label>Sidedoor Operator<', '<label>Sidedoor<'), read('namedCredentials/Sidedoor.namedCredential'));
});

test('no file has a secret, or an address that is not an example', () => {
  for (const [folder, path] of FOLDERS.flatMap(([folder, files]) => files.map((file) => [folder, file]))) {
    const content = readFileSync(join(folder, path), 'utf8');
    assert.doesNotMatch(content, /BEGIN [A-Z ]*PRIVATE KEY|client_?secret|password|consumerSecret/i, path);
    for (const [address] of content.matchAll(/https?:\/\/[^\s<"'{]+/g)) {
      assert.match(
        address,
        /^https?:\/\/(soap\.sforce\.com|www\.(w3|apache)\.org|sidedoor\.example\.com|acme\.my\.(salesforce\.com|connect\.aws)|127\.0\.0\.1)/,
        path,
      );
    }
  }
});

test('a trusted URL opens only what its part needs', () => {
  const folder = optional('trusted-urls');
  const opened = metadataFiles(folder).map((path) => {
    const site = readXml(path, folder);
    assert.equal(text(site, 'context'), 'LEX', path);
    return [text(site, 'endpointUrl'), site.children.filter((c) => c.text === 'true' && c.tag !== 'isActive').map((c) => c.tag)];
  });
  assert.deepEqual(opened.sort(), [
    ['https://acme.my.connect.aws', ['canAccessMicrophone', 'isApplicableToFrameSrc']],
    ['https://sidedoor.example.com', ['isApplicableToConnectSrc']],
  ]);
});

test('the app has the board and the CCP, and the page of a call hides the component from agents', () => {
  const app = readXml('applications/Sidedoor.app-meta.xml', optional('app'));
  const bar = readXml('flexipages/Sidedoor_UtilityBar.flexipage-meta.xml', optional('app'));
  assert.equal(text(app, 'utilityBar'), 'Sidedoor_UtilityBar');
  const placed = (page) => all(page, 'flexiPageRegions', 'itemInstances', 'componentInstance');
  const [first] = all(app, 'tabs').map((tab) => tab.text);
  const page = text(readXml(`tabs/${first}.tab-meta.xml`, optional('app')), 'flexiPage');
  const [board] = placed(readXml(`flexipages/${page}.flexipage-meta.xml`, optional('app')));
  assert.equal(text(board, 'componentName'), 'supervisorBoard');
  const [ccp] = placed(bar);
  assert.equal(text(ccp, 'componentName'), 'supervisorCcp');
  const bundle = readFileSync(join(SOURCES, 'lwc/supervisorCcp/supervisorCcp.js-meta.xml'), 'utf8');
  const properties = [...bundle.matchAll(/<property name="(\w+)"/g)].map(([, name]) => name);
  const set = all(ccp, 'componentInstanceProperties').filter((p) => text(p, 'type') !== 'decorator');
  for (const property of set) assert.ok(properties.includes(text(property, 'name')), text(property, 'name'));
  assert.ok(all(ccp, 'componentInstanceProperties').some((p) => text(p, 'name') === 'eager' && text(p, 'value') === 'true'));
  const voice = readXml('flexipages/Sidedoor_Voice_Call.flexipage-meta.xml', optional('voice-page'));
  const shown = placed(voice).find((c) => text(c, 'componentName') === 'supervisorPresence');
  const [rule] = all(shown, 'visibilityRule', 'criteria');
  assert.deepEqual(rule.children.map((c) => c.text), ['{!$Permission.CustomPermission.Sidedoor_Supervise}', 'EQUAL', 'true']);
});

test('nothing opens the org to browsers or other hosts by default', () => {
  for (const kind of ['cspTrustedSites', 'remoteSiteSettings', 'corsWhitelistOrigins']) {
    assert.ok(!existsSync(join(SOURCES, kind)), `${kind} is the org's decision`);
  }
});

test('each layout shows every field once, read-only', () => {
  const fields = readdirSync(join(SOURCES, 'objects/VoiceCallParticipant__c/fields')).map((file) => file.replace('.field-meta.xml', ''));
  for (const [folder, name, more] of [
    [SOURCES, 'Voice Call Participant Layout', []],
    [optional('voice'), 'Voice Call Participant with Voice Call', ['Voice_Call__c']],
    [optional('messaging'), 'Voice Call Participant with Messaging', ['Messaging_Session__c']],
  ]) {
    const path = `layouts/VoiceCallParticipant__c-${name}.layout-meta.xml`;
    assert.deepEqual(metadataFiles(folder).filter((file) => file.startsWith('layouts/')), [path]);
    const items = all(readXml(path, folder), 'layoutSections', 'layoutColumns', 'layoutItems');
    assert.deepEqual(items.map((item) => text(item, 'field')).sort(), ['Name', ...fields, ...more].sort());
    for (const item of items) {
      const required = text(item, 'field') === 'Leg_Key__c';
      assert.equal(text(item, 'behavior'), required ? 'Required' : 'Readonly', text(item, 'field'));
    }
  }
});

test('list views show only fields of the object, and filter by when it happened', () => {
  const fields = readdirSync(join(SOURCES, 'objects/VoiceCallParticipant__c/fields')).map((file) => file.replace('.field-meta.xml', ''));
  for (const path of FILES.filter((file) => file.includes('/listViews/'))) {
    const view = readXml(path);
    const used = [...all(view, 'columns'), ...all(view, 'filters', 'field')].map((node) => node.text);
    for (const field of used) assert.ok(field === 'NAME' || fields.includes(field), `${path}: ${field}`);
  }
});

test('the set-up page configures the service for this org’s token', () => {
  const page = readFileSync(join(PROJECT, '../../docs/salesforce-setup.md'), 'utf8');
  const issuer = /\[\[auth\.issuers\]\]\n([^`]+)/.exec(page)[1];
  const set = Object.fromEntries([...issuer.matchAll(/(\w+) = "([^"]*)"/g)].map(([, name, value]) => [name, value]));
  const credential = readXml('externalCredentials/Sidedoor.externalCredential-meta.xml');
  const claims = Object.fromEntries(
    all(credential, 'externalCredentialParameters').map((p) => [text(p, 'parameterName'), text(p, 'parameterValue')]),
  );
  assert.equal(set.issuer, claims.iss);
  assert.equal(set.audience, claims.aud);
  assert.equal(claims[set.supervisor_claim], '{!$User.Id}');
  assert.equal(set.supervisor_claim_kind, 'salesforce_user_id');
  assert.ok(page.includes(`\`${text(all(credential, 'externalCredentialParameters')[1], 'certificate')}\``));
  for (const path of FOLDERS.flatMap(([, files]) => files).filter((file) => /^(permissionsets|customPermissions)\//.test(file))) {
    assert.ok(page.includes(`\`${basename(path).split('.')[0]}\``), path);
  }
});

test('every example configuration sets directive_event, so that the delivery mode can be chosen in the org', () => {
  const event = 'Supervisor_Directive__e';
  assert.ok(FILES.includes(`objects/${event}/${event}.object-meta.xml`));
  const setting = readXml('customMetadata/Sidedoor_Setting.Default.md-meta.xml');
  const mode = all(setting, 'values').find((v) => text(v, 'field') === 'Delivery_Mode__c');
  assert.equal(text(mode, 'value'), 'POLL');
  const page = readFileSync(join(PROJECT, '../../docs/salesforce-setup.md'), 'utf8');
  const blocks = [...page.matchAll(/^ *\[salesforce\][^`]+/gm)].map(([block]) => block);
  assert.equal(blocks.length, 2, 'one for each grant');
  for (const block of blocks) assert.match(block, new RegExp(`^ *directive_event = "${event}"`, 'm'));
  assert.ok(readFileSync(join(PROJECT, '../../docs/salesforce.md'), 'utf8').includes(`directive_event = "${event}"`));
});

test('every example issuer has the scopes that supervisors need, and no more', () => {
  const blocks = ['salesforce-setup.md', 'salesforce.md', 'configuration.md', 'moving-from-cti-adapter.md'].flatMap((name) => {
    const page = readFileSync(join(PROJECT, '../../docs', name), 'utf8');
    return [...page.matchAll(/^ *\[\[auth\.issuers\]\]\n[^`]+/gm)].map(([block]) => [name, block]);
  });
  const operators = ([, block]) => /^ *issuer = "[^"]*\/operator"/m.test(block);
  assert.deepEqual(blocks.map(([name]) => name), ['salesforce-setup.md', 'salesforce-setup.md', 'configuration.md']);
  assert.equal(blocks.filter(operators).length, 1);
  for (const each of blocks) {
    const scopes = operators(each) ? /^ *scopes = \["operate"\]/m : /^ *scopes = \["supervise", "board", "presence"\]/m;
    assert.match(each[1], scopes, each[0]);
  }
});

test('no file names a package registry or a path of one machine', () => {
  for (const path of filesBelow(PROJECT).filter((file) => !file.startsWith('lwc'))) {
    const content = readFileSync(join(PROJECT, path), 'utf8');
    assert.doesNotMatch(content, /\bregistry\.[a-z]+|\/(tmp|home|root)\/[a-z]/, path);
  }
  assert.doesNotMatch(readFileSync(join(PROJECT, 'tools-apex/package-lock.json'), 'utf8'), /"resolved"/);
});
