// Apex matches the contract: every class of SidedoorTypes, SidedoorBoardTypes and SidedoorRequests has the members of its schema in
// openapi.yaml, and every path that the client calls exists with its method.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shape, source } from '../lib/apex.js';
import { RESERVED, apexType, properties, readContract } from '../lib/contract.js';

const CONTRACT = readContract();
const SCHEMAS = CONTRACT.components.schemas;
const TYPES = new Map(
  ['SidedoorTypes', 'SidedoorBoardTypes', 'SidedoorRequests'].flatMap((holder) =>
    [...shape(source(holder))]
      .filter(([name]) => name.includes('.'))
      .map(([name, found]) => [name.split('.')[1], found.fields]),
  ),
);

test('every class has the members and types of its schema', () => {
  assert.ok(TYPES.size >= 20);
  for (const [name, members] of TYPES) {
    const schema = SCHEMAS[name];
    assert.ok(schema, `openapi.yaml has no schema ${name}`);
    const wanted = Object.fromEntries(
      Object.entries(schema.properties).map(([property, of]) => [property, apexType(of, SCHEMAS)]),
    );
    const found = Object.fromEntries([...members].map(([property, { type }]) => [property, type]));
    assert.deepEqual(found, wanted, name);
  }
});

test('the components can read every member', () => {
  for (const [name, members] of TYPES) {
    for (const [member, { modifiers }] of members) {
      assert.ok(modifiers.includes('@auraenabled') && modifiers.includes('public'), `${name}.${member}`);
    }
  }
});

test('every schema that a class refers to has a class', () => {
  for (const [name, members] of TYPES) {
    for (const [member, { type }] of members) {
      const inner = type.replace(/^List<(.+)>$/, '$1');
      if (!['String', 'Boolean', 'Integer', 'Long', 'Double'].includes(inner)) {
        assert.ok(TYPES.has(inner), `${name}.${member}: ${inner}`);
      }
    }
  }
});

test('no property is a reserved word of Apex', () => {
  const bad = properties(CONTRACT)
    .filter(({ property }) => RESERVED.has(property.toLowerCase()))
    .map(({ schema, property }) => `${schema}.${property}`);
  assert.deepEqual(bad, []);
});

test('the client calls paths of the contract with the right body', () => {
  const client = source('SidedoorClient');
  const called = [
    ['post', '/v1/supervisions', 'startSupervision', 'StartSupervision'],
    ['get', '/v1/supervisions', 'listSupervisions', null],
    ['post', '/v1/supervisions/{supervisionId}/mode', 'changeMode', 'ModeRequest'],
    ['post', '/v1/supervisions/{supervisionId}/disconnect', 'disconnectSupervision', 'Disconnect'],
    ['post', '/v1/supervisions/{supervisionId}/acknowledgements', 'acknowledgeDirective', 'Acknowledgement'],
    ['get', '/v1/agents', 'listAgents', null],
    ['post', '/v1/supervisors/{connectUserId}/disconnect', 'disconnectSupervisor', 'DisconnectSupervisor'],
    ['get', '/v1/supervisors/{connectUserId}/directives', 'getDirectives', null],
    ['post', '/v1/supervisors/{connectUserId}/tickets', 'issueTicket', 'TicketRequest'],
  ];
  for (const [method, path, operationId, body] of called) {
    const operation = CONTRACT.paths[path]?.[method];
    assert.equal(operation?.operationId, operationId, `${method} ${path}`);
    const spelt = path.replace('{connectUserId}', 'me').split('/{supervisionId}/');
    assert.ok(client.includes(`'${spelt[0]}`), `${path} is not in the client`);
    if (spelt[1]) assert.ok(client.includes(`'${spelt[1]}'`), `${path} is not in the client`);
    const schema = operation.requestBody?.content['application/json'].schema.$ref.split('/').at(-1);
    assert.equal(schema ?? null, body, operationId);
  }
  const asked = new Set(CONTRACT.paths['/v1/supervisions'].get.parameters.map((p) => p.name));
  for (const parameter of ['contactId', 'connectUserId', 'pageSize']) assert.ok(asked.has(parameter), parameter);
  const board = CONTRACT.paths['/v1/agents'].get.parameters.map((p) => p.name);
  const filter = [...shape(source('SidedoorBoard')).get('SidedoorBoard.Filter').properties.keys()];
  assert.deepEqual([...filter, 'pageSize', 'cursor'].sort(), [...board].sort());
  const polled = new Set(CONTRACT.paths['/v1/supervisors/{connectUserId}/directives'].get.parameters.map((p) => p.name));
  for (const parameter of ['after', 'acts']) assert.ok(polled.has(parameter), parameter);
});

test('the client has the contract’s patterns for ids and keys', () => {
  const client = source('SidedoorClient');
  const bare = (pattern) => pattern.replace(/^\^/, '').replace(/\$$/, '');
  const key = CONTRACT.components.parameters.IdempotencyKey.schema;
  assert.ok(client.includes(`CONTACT = '${bare(SCHEMAS.ContactId.pattern)}'`));
  assert.ok(client.includes(`LONGEST_CONTACT = ${SCHEMAS.ContactId.maxLength};`));
  assert.ok(client.includes(`KEY = '${bare(key.pattern)}'`));
  assert.ok(client.includes(`LONGEST_DETAIL = ${SCHEMAS.Acknowledgement.properties.detail.maxLength};`));
  assert.ok(client.includes(`LONGEST_REASON = ${SCHEMAS.StartSupervision.properties.reason.maxLength};`));
  assert.ok(client.includes(`LONGEST_LEAVE_REASON = ${SCHEMAS.Disconnect.properties.reason.maxLength};`));
  const pageSize = CONTRACT.paths['/v1/supervisions'].get.parameters.find((p) => p.name === 'pageSize').schema;
  assert.ok(client.includes(`PAGE = ${pageSize.maximum};`));
});

test('the client has the contract’s pattern for a tab', () => {
  const { parameters } = CONTRACT.paths['/v1/supervisors/{connectUserId}/directives'].get;
  const tab = parameters.map((p) => (p.$ref ? CONTRACT.components.parameters[p.$ref.split('/').at(-1)] : p)).find((p) => p.name === 'tab');
  const form = /TAB_FORM = '(.+)';/.exec(source('SidedoorClient'))[1];
  const client = new RegExp(`^(?:${form})$`);
  const { pattern = '', minLength = 0, maxLength = Infinity } = tab.schema;
  const contract = (text) => new RegExp(pattern).test(text) && text.length >= minLength && text.length <= maxLength;
  for (const text of ['a', 'A-z_9', 'a'.repeat(64), '', 'a'.repeat(65), 'a b', 'a/b', 'ü', 'a\n']) {
    assert.equal(client.test(text), contract(text), JSON.stringify(text));
  }
});

test('the controller knows every state of a supervision', () => {
  const ended = /OVER = new Set<String>\{ ([^}]+) \}/.exec(source('SidedoorController'))[1];
  const words = [...ended.matchAll(/'(\w+)'/g)].map((m) => m[1]);
  const states = SCHEMAS.Supervision.properties.state.enum;
  assert.deepEqual(states.filter((s) => !words.includes(s)), ['REQUESTED', 'JOINING', 'MONITORING', 'LEAVING']);
  for (const word of words) assert.ok(states.includes(word), word);
});
