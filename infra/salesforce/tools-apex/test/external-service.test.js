// The registration of the External Service: made from the subset, checked against Salesforce's limits, and up to date.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { operations, refusals, registration } from '../../scripts/external-service.mjs';
import { PROJECT, SOURCES, TOOLS, all, parseXml, text, xmlFault } from '../lib/project.js';
import { faults, readTypes } from '../lib/wsdl.js';

const SAMPLE = readFileSync(join(TOOLS, 'test/fixtures/subset.yaml'), 'utf8');
const SCRIPT = join(PROJECT, 'scripts/external-service.mjs');
const SUBSET = join(PROJECT, 'sidedoor-external-service.yaml');

const run = (...words) => spawnSync(process.execPath, [SCRIPT, ...words], { encoding: 'utf8' });

test('a registration is valid metadata and holds the contract unchanged', () => {
  const xml = registration(parse(SAMPLE), SAMPLE);
  assert.equal(xmlFault(xml), null);
  assert.ok(xml.includes('Less &lt; more &amp; "quotes"'));
  const tree = parseXml(xml);
  assert.deepEqual(faults(tree, readTypes()), []);
  assert.deepEqual(parse(text(tree, 'schema')), parse(SAMPLE));
  const names = all(tree, 'operations', 'name').map((n) => n.text);
  assert.deepEqual(names, ['disconnectSupervision', 'getSupervision']);
});

test('what External Services would reject is reported', () => {
  const broken = (change) => {
    const contract = parse(SAMPLE);
    change(contract, contract.paths['/v1/supervisions/{supervisionId}'].get);
    return refusals(contract, SAMPLE);
  };
  assert.deepEqual(refusals(parse(SAMPLE), SAMPLE), []);
  const cases = [
    [(c) => (c.openapi = '3.1.0'), /3\.0\.x/],
    [(c, get) => (get.operationId = 'get-supervision'), /not a valid Apex name/],
    [(c, get) => (get.operationId = 'disconnectSupervision'), /duplicate operationId/],
    [(c, get) => (get.responses['200'].headers = {}), /response headers/],
    [(c, get) => (get.responses['200'].content = { 'text/event-stream': {} }), /text\/event-stream/],
    [(c) => (c.components.schemas['Bad-Name'] = {}), /Bad-Name/],
    [(c) => (c.components.schemas.Supervision.properties.id.type = 'null'), /type of OpenAPI 3\.1/],
    [(c) => (c.components.schemas.Supervision.description = 'x'.repeat(1334)), /1333/],
    [(c) => (c.components.schemas.Grid = { type: 'array', items: { type: 'array' } }), /unnamed arrays/],
    [(c) => (c.paths = {}), /no operation/],
  ];
  for (const [change, says] of cases) {
    const found = broken(change);
    assert.equal(found.length, 1, `${change}: ${found}`);
    assert.match(found[0], says);
  }
  assert.match(refusals(parse(SAMPLE), ' '.repeat(1_000_001))[0], /1000000/);
});

test('the script writes, checks and reports errors', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sidedoor-external-service-'));
  try {
    const subset = join(folder, 'subset.yaml');
    const target = join(folder, 'made', 'Sidedoor.xml');
    assert.equal(run(subset, target).status, 2, 'no subset');
    writeFileSync(subset, SAMPLE);
    assert.equal(run('--check', subset, target).status, 1, 'nothing written yet');
    assert.equal(run(subset, target).status, 0);
    assert.equal(run('--check', subset, target).status, 0);
    writeFileSync(subset, `${SAMPLE}# changed\n`);
    assert.equal(run('--check', subset, target).status, 1, 'drifted');
    writeFileSync(subset, SAMPLE.replace('3.0.3', '3.1.0'));
    const refused = run(subset, target);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /3\.0\.x/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('without installed packages the script says what to run', () => {
  const clone = mkdtempSync(join(tmpdir(), 'sidedoor-external-service-'));
  try {
    mkdirSync(join(clone, 'scripts'));
    mkdirSync(join(clone, 'tools-apex'));
    copyFileSync(SCRIPT, join(clone, 'scripts/external-service.mjs'));
    copyFileSync(join(TOOLS, 'package.json'), join(clone, 'tools-apex/package.json'));
    writeFileSync(join(clone, 'sidedoor-external-service.yaml'), SAMPLE);
    const script = join(clone, 'scripts/external-service.mjs');
    const result = spawnSync(process.execPath, [script], { encoding: 'utf8', env: { PATH: process.env.PATH } });
    assert.equal(result.status, 2, result.stderr);
    assert.match(result.stderr, /^the YAML parser is not installed: run \(cd .*tools-apex && npm ci\) first\n$/);
  } finally {
    rmSync(clone, { recursive: true });
  }
});

test('the committed registration matches the committed subset', () => {
  const checked = run('--check');
  assert.equal(checked.status, 0, checked.stderr);
  assert.ok(operations(parse(readFileSync(SUBSET, 'utf8'))).length > 0);
});
