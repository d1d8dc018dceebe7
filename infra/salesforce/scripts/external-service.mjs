#!/usr/bin/env node
// Writes the External Service registration from the subset of the contract that External Services support:
//   node scripts/external-service.mjs [--check] [SUBSET [REGISTRATION]]
// --check writes nothing and fails if the registration is not up to date. `make external-service` generates the subset from
// openapi.yaml. This script checks it against Salesforce's limits once more, because a registration that Salesforce rejects fails the
// whole deployment.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..');
const SUBSET = join(PROJECT, 'sidedoor-external-service.yaml');
const REGISTRATION = join(
  PROJECT,
  'force-app/main/default/externalServiceRegistrations/Sidedoor.externalServiceRegistration-meta.xml',
);
const LARGEST_SCHEMA = 1_000_000;
const LONGEST_DESCRIPTION = 1333;
const METHODS = ['get', 'patch', 'put', 'post', 'delete'];
const MEDIA_TYPES = ['application/json', 'application/x-www-form-urlencoded', 'text/plain'];
const APEX_NAME = /^[A-Za-z](?!.*__)[A-Za-z0-9_]*(?<!_)$/;

function everyNode(value, path, visit) {
  visit(value, path);
  if (value && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) everyNode(inner, `${path}/${key}`, visit);
  }
}

/** The operations of a contract: [{path, method, operation}]. */
export function operations(contract) {
  return Object.entries(contract.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => !['parameters', 'summary', 'description', 'servers'].includes(method))
      .map(([method, operation]) => ({ path, method, operation })),
  );
}

/** What External Services would reject, one message each. */
export function refusals(contract, text) {
  const found = [];
  if (!/^3\.0\.\d+$/.test(contract.openapi ?? '')) found.push(`openapi is ${contract.openapi}; expected 3.0.x`);
  if (text.length > LARGEST_SCHEMA) found.push(`the schema has ${text.length} characters; the limit is ${LARGEST_SCHEMA}`);
  const names = new Set();
  for (const { path, method, operation } of operations(contract)) {
    const at = `${method.toUpperCase()} ${path}`;
    if (!METHODS.includes(method)) found.push(`${at}: unsupported method`);
    if (!APEX_NAME.test(operation.operationId ?? '')) found.push(`${at}: operationId is not a valid Apex name`);
    if (names.has(operation.operationId)) found.push(`${at}: duplicate operationId ${operation.operationId}`);
    names.add(operation.operationId);
    for (const [status, response] of Object.entries(operation.responses ?? {})) {
      if (response.headers) found.push(`${at}: response headers are not supported (${status})`);
      for (const media of Object.keys(response.content ?? {})) {
        if (!MEDIA_TYPES.includes(media)) found.push(`${at}: media type ${media} is not supported`);
      }
    }
    for (const media of Object.keys(operation.requestBody?.content ?? {})) {
      if (!MEDIA_TYPES.includes(media)) found.push(`${at}: media type ${media} is not supported`);
    }
  }
  if (names.size === 0) found.push('the contract has no operation');
  for (const name of Object.keys(contract.components?.schemas ?? {})) {
    if (!APEX_NAME.test(name)) found.push(`schema ${name} is not a valid Apex name`);
  }
  everyNode(contract, '#', (node, path) => {
    if (!node || typeof node !== 'object') return;
    if (node.type === 'null' || Array.isArray(node.type)) found.push(`${path}: a type of OpenAPI 3.1`);
    if (typeof node.description === 'string' && node.description.length > LONGEST_DESCRIPTION) {
      found.push(`${path}: description has more than ${LONGEST_DESCRIPTION} characters`);
    }
    if (node.type === 'array' && node.items?.type === 'array') found.push(`${path}: an array of unnamed arrays`);
  });
  return found;
}

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** The registration as a metadata file. */
export function registration(contract, text) {
  const used = operations(contract)
    .map(({ operation }) => operation.operationId)
    .sort();
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!-- Written by scripts/external-service.mjs: change sidedoor-external-service.yaml instead. -->',
    '<ExternalServiceRegistration xmlns="http://soap.sforce.com/2006/04/metadata">',
    '    <description>Sidedoor for flows and invocable actions: list supervisors on a call, and disconnect them</description>',
    '    <label>Sidedoor</label>',
    '    <namedCredential>Sidedoor</namedCredential>',
    '    <namedCredentialReference>Sidedoor</namedCredentialReference>',
    ...used.flatMap((name) => [
      '    <operations>',
      '        <active>true</active>',
      `        <name>${name}</name>`,
      '    </operations>',
    ]),
    '    <registrationProviderType>Custom</registrationProviderType>',
    `    <schema>${escaped(text)}</schema>`,
    '    <schemaType>OpenApi3</schemaType>',
    '    <schemaUploadFileExtension>yaml</schemaUploadFileExtension>',
    '    <schemaUploadFileName>sidedoor-external-service</schemaUploadFileName>',
    '    <status>Complete</status>',
    '</ExternalServiceRegistration>',
    '',
  ];
  return lines.join('\n');
}

/** The YAML parser of tools-apex, or null if its packages are not installed. */
function yamlReader() {
  try {
    return createRequire(join(PROJECT, 'tools-apex', 'package.json'))('yaml').parse;
  } catch (e) {
    if (e.code !== 'MODULE_NOT_FOUND') throw e;
    return null;
  }
}

function main(words) {
  const check = words.includes('--check');
  const [subset = SUBSET, target = REGISTRATION] = words.filter((word) => word !== '--check');
  if (!existsSync(subset)) {
    console.error(`${subset} does not exist: generate it from openapi.yaml first (make external-service)`);
    return 2;
  }
  const parse = yamlReader();
  if (!parse) {
    console.error(`the YAML parser is not installed: run (cd ${join(PROJECT, 'tools-apex')} && npm ci) first`);
    return 2;
  }
  const text = readFileSync(subset, 'utf8');
  const contract = parse(text);
  const wrong = refusals(contract, text);
  if (wrong.length > 0) {
    console.error(['External Services would reject the contract:', ...wrong].join('\n  '));
    return 1;
  }
  const wanted = registration(contract, text);
  if (check) {
    const there = existsSync(target) ? readFileSync(target, 'utf8') : '';
    if (there === wanted) return 0;
    console.error(`${target} is out of date: run node scripts/external-service.mjs`);
    return 1;
  }
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, wanted);
  console.log(`${target}: ${operations(contract).length} operations`);
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = main(process.argv.slice(2));
}
