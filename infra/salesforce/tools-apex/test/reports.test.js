// The report type, the reports and the dashboard name only fields and reports that exist.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { all, fieldsOf, metadataFiles, nameOf, readXml, text } from '../lib/project.js';

const OBJECT = 'VoiceCallParticipant__c';
const STANDARD = ['Name', 'CreatedDate'];
const FIELDS = fieldsOf(OBJECT);
const TYPE = readXml('reportTypes/Voice_Call_Participants.reportType-meta.xml');
const COLUMNS = all(TYPE, 'sections', 'columns').map((column) => text(column, 'field'));
const REPORTS = new Map(
  metadataFiles()
    .filter((path) => path.startsWith('reports/') && path.endsWith('.report-meta.xml'))
    .map((path) => [`${path.split('/')[1]}/${nameOf(path)}`, readXml(path)]),
);
const DASHBOARD = readXml('dashboards/Sidedoor/Supervision.dashboard-meta.xml');

const known = (column) => {
  const [object, field] = column.split('$');
  return object === OBJECT && COLUMNS.includes(field);
};

test('the report type shows every field of the object, once', () => {
  assert.equal(text(TYPE, 'baseObject'), OBJECT);
  assert.deepEqual([...COLUMNS].sort(), [...FIELDS.keys(), ...STANDARD].sort());
  for (const column of all(TYPE, 'sections', 'columns')) assert.equal(text(column, 'table'), OBJECT);
});

test('there is a report for each question', () => {
  assert.deepEqual([...REPORTS.keys()].sort(), [
    'Sidedoor/Departures_with_Uncertainty',
    'Sidedoor/Rejoins_to_Review',
    'Sidedoor/Supervision_by_Supervisor',
  ]);
});

test('reports use the report type and only its columns', () => {
  for (const [name, report] of REPORTS) {
    // Only here does the API name of a custom report type have the suffix.
    assert.equal(text(report, 'reportType'), 'Voice_Call_Participants__c', name);
    assert.ok(text(report, 'name').length <= 40 && text(report, 'description').length <= 255, name);
    const used = [
      ...all(report, 'columns', 'field'),
      ...all(report, 'groupingsDown', 'field'),
      ...all(report, 'filter', 'criteriaItems', 'column'),
      ...all(report, 'timeFrameFilter', 'dateColumn'),
      ...all(report, 'sortColumn'),
    ].map((node) => node.text);
    assert.ok(used.length >= 5, name);
    for (const column of used) assert.ok(known(column), `${name}: ${column}`);
    const shown = all(report, 'columns', 'field').map((node) => node.text);
    assert.equal(new Set(shown).size, shown.length, `${name}: duplicate column`);
    for (const grouping of all(report, 'groupingsDown', 'field')) {
      assert.ok(!shown.includes(grouping.text), `${name}: ${grouping.text} is both a column and a grouping`);
    }
    assert.ok(shown.includes(text(report, 'sortColumn')), `${name}: sorted by a column that it does not show`);
  }
});

test('only numbers are aggregated', () => {
  for (const [name, report] of REPORTS) {
    for (const column of all(report, 'columns').filter((c) => all(c, 'aggregateTypes').length > 0)) {
      const field = FIELDS.get(text(column, 'field').split('$')[1]);
      assert.equal(text(field, 'type'), 'Number', `${name}: ${text(column, 'field')}`);
    }
  }
});

test('departures show their uncertainty, and rejoins list only rejoins', () => {
  const departures = REPORTS.get('Sidedoor/Departures_with_Uncertainty');
  const summed = all(departures, 'columns').find((c) => text(c, 'field').endsWith('$Disconnect_Uncertainty_Ms__c'));
  assert.deepEqual(all(summed, 'aggregateTypes').map((a) => a.text), ['Average', 'Maximum']);
  const criteria = (report) =>
    all(report, 'filter', 'criteriaItems').map((c) => [text(c, 'column').split('$')[1], text(c, 'operator'), text(c, 'value')]);
  assert.deepEqual(criteria(departures), [['Disconnected_At__c', 'notEqual', '']]);
  assert.deepEqual(criteria(REPORTS.get('Sidedoor/Rejoins_to_Review')), [['Rejoin__c', 'equals', '1']]);
});

test('the dashboard uses the reports and groupings, and runs as the viewer', () => {
  assert.equal(text(DASHBOARD, 'dashboardType'), 'LoggedInUser');
  const components = all(DASHBOARD, 'dashboardGridLayout', 'dashboardGridComponents', 'dashboardComponent');
  assert.deepEqual(new Set(components.map((c) => text(c, 'report'))), new Set(REPORTS.keys()));
  for (const component of components) {
    const report = REPORTS.get(text(component, 'report'));
    const groupings = all(report, 'groupingsDown', 'field').map((g) => g.text);
    for (const grouping of all(component, 'groupingColumn')) assert.ok(groupings.includes(grouping.text), grouping.text);
    for (const summary of all(component, 'chartSummary')) {
      const column = text(summary, 'column');
      if (column === 'RowCount') continue;
      const shown = all(report, 'columns').find((c) => text(c, 'field') === column);
      const given = all(shown, 'aggregateTypes').map((a) => a.text);
      assert.ok(given.includes(text(summary, 'aggregate')), `${column}: ${text(summary, 'aggregate')}`);
    }
  }
});

test('tiles stay on the grid and do not overlap', () => {
  const grid = all(DASHBOARD, 'dashboardGridLayout')[0];
  const width = Number(text(grid, 'numberOfColumns'));
  const taken = new Set();
  for (const tile of all(grid, 'dashboardGridComponents')) {
    const [left, top, wide, high] = ['columnIndex', 'rowIndex', 'colSpan', 'rowSpan'].map((t) => Number(text(tile, t)));
    assert.ok(left + wide <= width);
    for (let x = left; x < left + wide; x++) {
      for (let y = top; y < top + high; y++) {
        assert.ok(!taken.has(`${x},${y}`), `two tiles at ${x},${y}`);
        taken.add(`${x},${y}`);
      }
    }
  }
});

test('the folders are not shared, because the org decides about access', () => {
  const folders = metadataFiles().filter((path) => /\.(report|dashboard)Folder-meta\.xml$/.test(path));
  assert.equal(folders.length, 2);
  for (const path of folders) {
    assert.deepEqual(readXml(path).children.map((c) => c.tag), ['name'], path);
  }
});
