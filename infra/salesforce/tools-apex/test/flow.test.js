// The screen flow that starts a supervision: its paths and names hold, it passes everything that the Apex action takes, and it shows what the
// action answers, a refusal and a failure. Only an org can run it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { shape, source } from '../lib/apex.js';
import { below, elementsOf, fieldsOfScreens, flowFaults, namesIn } from '../lib/flow.js';
import { API_VERSION, REPOSITORY, SOURCES, all, metadataFiles, nameOf, parseXml, text } from '../lib/project.js';
import { faults, readTypes } from '../lib/wsdl.js';

const CODE = readFileSync(join(SOURCES, 'flows/Sidedoor_Start_Listening.flow-meta.xml'), 'utf8');
const FLOW = parseXml(CODE);
const ACTION = shape(source('SidedoorListenAction'));
const members = (inner) => [...ACTION.get(`SidedoorListenAction.${inner}`).fields.keys()];
const OUTPUTS = new Map([['SidedoorListenAction', members('Result')]]);
const START = parse(readFileSync(join(REPOSITORY, 'openapi.yaml'), 'utf8')).components.schemas.StartSupervision.properties;
const [CALL] = all(FLOW, 'actionCalls');
/** The texts of a screen that a person reads, without tags. */
const shown = (screen) =>
  below(elementsOf(FLOW).get(screen), 'fieldText')
    .map((one) => one.text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replace(/<[^>]+>/g, ' '))
    .join(' ');

test('every path, name and merge field of the flow holds', () => {
  assert.deepEqual(flowFaults(FLOW, OUTPUTS), []);
  assert.equal(text(FLOW, 'apiVersion'), API_VERSION);
  assert.equal(text(FLOW, 'processType'), 'Flow', 'a screen flow');
  assert.equal(text(FLOW, 'status'), 'Active');
  // As the user who runs it: the callout is signed for them, and records that they may not read have no contact.
  assert.equal(text(FLOW, 'runInMode'), 'DefaultMode');
});

test('a fault of a flow is found', () => {
  for (const [from, to, expected] of [
    ['<targetReference>Is_Accepted<', '<targetReference>Is_Acepted<', /Is_Acepted: a path leads to it/],
    ['<targetReference>Accepted<', '<targetReference>Refused<', /^Accepted: no path leads to it/m],
    ['{!Start_Supervision.errorCode}', '{!Start_Supervision.code}', /Start_Supervision\.code: the action does not give it/],
    ['<elementReference>ids<', '<elementReference>recordIds<', /recordIds: does not exist/],
    ['{!voiceCallId}', '{!voiceCall}', /voiceCall: does not exist/],
    ['<name>Mode_Barge<', '<name>Mode<', /Mode: occurs twice/],
    ['<storeOutputAutomatically>true', '<storeOutputAutomatically>false', /accepted: the action does not give it/],
    ['<status>Active</status>', '<status>Active</status><waits></waits>', /waits: not known to this check/],
    [/<faultConnector>[^]*?<\/faultConnector>/, '', /Start_Supervision: has no fault path/],
  ]) {
    const broken = CODE.replace(from, to);
    assert.notEqual(broken, CODE, String(from));
    assert.match(flowFaults(parseXml(broken), OUTPUTS).join('\n'), expected);
  }
});

test('the flow passes everything that the action takes', () => {
  assert.equal(text(CALL, 'actionType'), 'apex');
  assert.equal(text(CALL, 'actionName'), 'SidedoorListenAction');
  const { modifiers } = ACTION.get('SidedoorListenAction').methods.get('listen');
  assert.ok(modifiers.some((word) => word.startsWith('@invocablemethod')));
  const given = all(CALL, 'inputParameters').map((one) => text(one, 'name'));
  assert.deepEqual(given.sort(), members('Request').sort());
  // What the person enters, and what the caller of the flow gives.
  const from = Object.fromEntries(
    all(CALL, 'inputParameters').map((one) => [text(one, 'name'), text(one, 'value', 'elementReference')]),
  );
  const inputs = all(FLOW, 'variables').filter((one) => text(one, 'isInput') === 'true');
  const asked = fieldsOfScreens(FLOW, 'Ask');
  for (const [name, source_] of Object.entries(from)) {
    const is = inputs.some((one) => text(one, 'name') === source_) || asked.has(source_) || source_ === 'wantedContactId';
    assert.ok(is, `${name}: ${source_}`);
  }
  const wanted = all(FLOW, 'formulas').find((one) => text(one, 'name') === 'wantedContactId');
  assert.deepEqual([...new Set(namesIn(wanted))].sort(), ['Contact_Id', 'contactId']);
});

test('the flow takes what its callers give', () => {
  const inputs = all(FLOW, 'variables').map((one) => [text(one, 'name'), text(one, 'dataType'), text(one, 'isCollection')]);
  // A record page gives recordId, a list view gives ids (published accounts); the others are for pages of your own.
  assert.deepEqual(inputs, [
    ['agentUserId', 'String', 'false'],
    ['contactId', 'String', 'false'],
    ['ids', 'String', 'true'],
    ['recordId', 'String', 'false'],
    ['voiceCallId', 'String', 'false'],
  ]);
  for (const one of all(FLOW, 'variables')) assert.equal(text(one, 'isInput'), 'true', text(one, 'name'));
});

test('the flow asks for the mode and the reason that the service takes', () => {
  const fields = fieldsOfScreens(FLOW, 'Ask');
  assert.deepEqual([...fields.keys()], ['Contact_Id', 'Mode', 'Reason', 'Leave_Current']);
  const values = all(FLOW, 'choices').map((one) => text(one, 'value', 'stringValue'));
  const supported = START.mode.enum.filter((word) => word !== null && word !== 'WHISPER');
  assert.deepEqual(values.sort(), supported.sort(), 'Amazon Connect has no whisper');
  const chosen = text(fields.get('Mode'), 'defaultSelectedChoiceReference');
  const first = all(FLOW, 'choices').find((one) => text(one, 'name') === chosen);
  assert.equal(text(first, 'value', 'stringValue'), 'SILENT', 'nobody speaks by accident');
  const rule = text(fields.get('Reason'), 'validationRule', 'formulaExpression').replaceAll('&lt;', '<');
  assert.equal(rule, `LEN({!Reason}) <= ${START.reason.maxLength}`);
  // The service refuses control characters, which a field of several lines could contain.
  assert.equal(text(fields.get('Reason'), 'fieldType'), 'InputField');
  assert.equal(text(fields.get('Leave_Current'), 'defaultValue', 'booleanValue'), 'false');
});

test('the contact id is asked for only if the caller selected nothing', () => {
  const rule = all(fieldsOfScreens(FLOW, 'Ask').get('Contact_Id'), 'visibilityRule', 'conditions');
  assert.deepEqual(rule.map((one) => text(one, 'leftValueReference')), ['nothingSelected']);
  const formula = all(FLOW, 'formulas').find((one) => text(one, 'name') === 'nothingSelected');
  assert.deepEqual(namesIn(formula).sort(), ['agentUserId', 'recordId', 'voiceCallId']);
});

test('the flow shows acceptance, a refusal with its code, and a failure', () => {
  const path = (...tags) => text(CALL, ...tags, 'targetReference');
  const decision = elementsOf(FLOW).get(path('connector'));
  const [rule] = all(decision, 'rules');
  assert.equal(text(rule, 'conditions', 'leftValueReference'), 'Start_Supervision.accepted');
  assert.equal(text(rule, 'conditions', 'rightValue', 'booleanValue'), 'true');
  const accepted = text(rule, 'connector', 'targetReference');
  const refused = text(decision, 'defaultConnector', 'targetReference');
  assert.match(shown(accepted), /accepted the request.*\{!Start_Supervision\.state\}.*does not mean connected/s);
  assert.match(shown(refused), /\{!Start_Supervision\.error\}.*\{!Start_Supervision\.errorCode\}/s);
  assert.match(shown(path('faultConnector')), /\{!\$Flow\.FaultMessage\}.*not certain/s);
  // Back from the accepted screen would start a second time; from the others the supervisor corrects what they entered.
  const back = (screen) => text(elementsOf(FLOW).get(screen), 'allowBack');
  assert.deepEqual([accepted, refused, path('faultConnector')].map(back), ['false', 'true', 'true']);
  for (const screen of all(FLOW, 'screens')) assert.equal(text(screen, 'allowPause'), 'false', 'a live call does not wait');
});

test('the set-up page adds this flow to Command Center as Salesforce describes such an action', () => {
  const page = readFileSync(join(REPOSITORY, 'docs/salesforce-setup.md'), 'utf8');
  const action = parseXml(/<omniSupervisorConfigAction>[^]*?<\/omniSupervisorConfigAction>/.exec(page)[0]);
  assert.deepEqual(faults(action, readTypes(), 'OmniSupervisorConfigAction'), []);
  assert.equal(text(action, 'actionTab'), 'AssignedWork');
  const flows = metadataFiles().filter((path) => path.startsWith('flows/')).map(nameOf);
  assert.deepEqual([text(action, 'customActionFlow')], flows);
});
