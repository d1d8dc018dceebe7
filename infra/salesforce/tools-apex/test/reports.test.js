// The report types, the reports and the dashboards name only fields and reports that exist, and count by when something happened.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SOURCES, all, fieldsOf, metadataFiles, nameOf, optional, readXml, text } from '../lib/project.js';

const OBJECT = 'VoiceCallParticipant__c';
const STANDARD = ['Name', 'CreatedDate'];
const FIELDS = fieldsOf(OBJECT);
const RECORDS = 'Voice_Call_Participants';
/**
 * The reports on coverage, by part: the object of the contacts, its fields as a report names them (a lookup without Id; from Salesforce's
 * Object Reference), our lookup to it, when a contact began, which contacts count, and who took it.
 */
const COVERAGE = {
  voice: {
    type: 'Voice_Calls_with_Supervisors',
    object: 'VoiceCall',
    fields: [
      'Id',
      'VendorCallKey',
      'User',
      'Owner',
      'CallType',
      'CallStartDateTime',
      'CallEndDateTime',
      'CallDurationInSeconds',
      'CallDisposition',
    ],
    lookup: 'Voice_Call__c',
    began: 'CallStartDateTime',
    counted: [['User', 'notEqual', '']],
    agent: 'User',
    reports: ['Voice_Coverage_by_Agent', 'Voice_Coverage_by_Week'],
    dashboard: 'Voice_Coverage',
  },
  messaging: {
    type: 'Messaging_Sessions_with_Supervisors',
    object: 'MessagingSession',
    fields: ['Id', 'Name', 'Owner', 'AgentType', 'ChannelType', 'Origin', 'Status', 'StartTime', 'AcceptTime', 'EndTime'],
    lookup: 'Messaging_Session__c',
    began: 'StartTime',
    // Without a contact id it is not known whether the session is a chat of Amazon Connect, nor could a leg be linked to it.
    counted: [
      ['AcceptTime', 'notEqual', ''],
      ['Connect_Contact_Id__c', 'notEqual', ''],
    ],
    agent: 'Owner',
    reports: ['Chat_Coverage_by_Agent', 'Chat_Coverage_by_Week'],
    dashboard: 'Chat_Coverage',
  },
};
const PARTS = Object.entries(COVERAGE);
const FOLDERS = { records: SOURCES, voice: optional('voice'), messaging: optional('messaging') };

const read = (kind, suffix) =>
  new Map(
    Object.entries(FOLDERS).flatMap(([part, folder]) =>
      metadataFiles(folder)
        .filter((path) => path.startsWith(`${kind}/`) && path.endsWith(`.${suffix}-meta.xml`))
        .map((path) => [
          path.includes('/Sidedoor/') ? `Sidedoor/${nameOf(path)}` : nameOf(path),
          { part, xml: readXml(path, folder) },
        ]),
    ),
  );
const TYPES = read('reportTypes', 'reportType');
const REPORTS = read('reports', 'report');
const DASHBOARDS = read('dashboards', 'dashboard');

/** The columns of a report type as a report names them: Map `table$field` → the field's metadata, or null if it is not ours. */
function columnsOf(type) {
  const given = all(type, 'sections', 'columns').map((column) => [text(column, 'table'), text(column, 'field')]);
  return new Map(
    given.map(([table, field]) => [
      `${table}$${field}`,
      table.includes('.') || table === OBJECT ? (FIELDS.get(field) ?? null) : null,
    ]),
  );
}
const typeOf = (report) => TYPES.get(text(report, 'reportType').replace(/__c$/, '')).xml;
const last = (column) => column.split('$')[1];
const criteria = (report) =>
  all(report, 'filter', 'criteriaItems').map((c) => [last(text(c, 'column')), text(c, 'operator'), text(c, 'value')]);

test('the report type of the records shows every field of the object, once', () => {
  const { xml } = TYPES.get(RECORDS);
  assert.equal(text(xml, 'baseObject'), OBJECT);
  const columns = all(xml, 'sections', 'columns');
  assert.deepEqual(columns.map((c) => text(c, 'field')).sort(), [...FIELDS.keys(), ...STANDARD].sort());
  for (const column of columns) assert.equal(text(column, 'table'), OBJECT);
});

test('a report type of coverage has every call or chat, with or without a supervisor', () => {
  assert.deepEqual([...TYPES.keys()].sort(), [RECORDS, ...PARTS.map(([, { type }]) => type)].sort());
  for (const [name, { type, object, fields, lookup }] of PARTS) {
    const { part, xml } = TYPES.get(type);
    assert.equal(part, name);
    assert.equal(text(xml, 'baseObject'), object);
    assert.equal(text(xml, 'join', 'outerJoin'), 'true', 'it would leave out contacts that had no supervisor');
    const field = fieldsOf(OBJECT, FOLDERS[name]).get(lookup);
    assert.equal(text(field, 'referenceTo'), object);
    const relation = `${text(field, 'relationshipName')}__r`;
    assert.equal(text(xml, 'join', 'relationship'), relation);
    for (const column of all(xml, 'sections', 'columns')) {
      const [table, shown] = [text(column, 'table'), text(column, 'field')];
      assert.ok([object, `${object}.${relation}`].includes(table), table);
      const own = [...fields, ...fieldsOf(object, FOLDERS[name]).keys()];
      const known = table === object ? own : [...FIELDS.keys(), 'Name'];
      assert.ok(known.includes(shown), shown);
    }
  }
});

test('there is a report for each question', () => {
  const of = (part) =>
    [...REPORTS]
      .filter(([, report]) => report.part === part)
      .map(([name]) => name.replace('Sidedoor/', ''))
      .sort();
  assert.deepEqual(of('records'), [
    'Barge_Ins',
    'Departures_with_Uncertainty',
    'Ended_after_a_Leave',
    'Hours_by_Agent',
    'Hours_by_Supervisor',
    'Hours_by_Week',
    'Left_Overdue',
    'On_a_Call_Now',
    'Rejoins_to_Review',
    'Who_Listened_to_Whom',
  ]);
  for (const [part, { reports }] of PARTS) assert.deepEqual(of(part), reports);
});

test('reports use their report type and only its columns', () => {
  for (const [name, { part, xml: report }] of REPORTS) {
    // Only here does the API name of a custom report type have the suffix.
    assert.match(text(report, 'reportType'), /__c$/, name);
    assert.equal(TYPES.get(text(report, 'reportType').replace(/__c$/, '')).part, part, name);
    assert.ok(text(report, 'name').length <= 40 && text(report, 'description').length <= 255, name);
    const columns = columnsOf(typeOf(report));
    const used = [
      ...all(report, 'columns', 'field'),
      ...all(report, 'groupingsDown', 'field'),
      ...all(report, 'filter', 'criteriaItems', 'column'),
      ...all(report, 'timeFrameFilter', 'dateColumn'),
      ...all(report, 'sortColumn'),
    ].map((node) => node.text);
    assert.ok(used.length >= 5, name);
    for (const column of used) assert.ok(columns.has(column), `${name}: ${column}`);
    const shown = all(report, 'columns', 'field').map((node) => node.text);
    assert.equal(new Set(shown).size, shown.length, `${name}: duplicate column`);
    for (const grouping of all(report, 'groupingsDown', 'field')) {
      assert.ok(!shown.includes(grouping.text), `${name}: ${grouping.text} is both a column and a grouping`);
    }
    assert.ok(shown.includes(text(report, 'sortColumn')), `${name}: sorted by a column that it does not show`);
  }
});

test('every report counts by when it happened, not by when the record was created', () => {
  const times = ['Joined_At__c', 'Disconnected_At__c', ...PARTS.map(([, { began }]) => began)];
  for (const [name, { xml }] of REPORTS) {
    assert.ok(times.includes(last(text(xml, 'timeFrameFilter', 'dateColumn'))), name);
    assert.notEqual(text(xml, 'timeFrameFilter', 'interval'), 'INTERVAL_CUSTOM', `${name}: a fixed date would age`);
    assert.ok(!JSON.stringify(xml).includes('CreatedDate'), name);
  }
});

test('only numbers are aggregated, and ids counted', () => {
  for (const [name, { xml: report }] of REPORTS) {
    const columns = columnsOf(typeOf(report));
    for (const column of all(report, 'columns').filter((c) => all(c, 'aggregateTypes').length > 0)) {
      const field = text(column, 'field');
      const given = all(column, 'aggregateTypes').map((a) => a.text);
      if (last(field) === 'Id') assert.deepEqual(given, ['Unique'], `${name}: ${field}`);
      else assert.equal(text(columns.get(field), 'type'), 'Number', `${name}: ${field}`);
    }
  }
});

test('formulas use aggregates of their report’s columns', () => {
  let seen = 0;
  for (const [name, { xml: report }] of REPORTS) {
    for (const formula of all(report, 'aggregates')) {
      seen += 1;
      const code = text(formula, 'calculatedFormula');
      assert.equal(text(formula, 'isActive'), 'true', name);
      for (const [, column, aggregate] of code.matchAll(/([A-Za-z_.]+):(\w+)/g)) {
        const shown = all(report, 'columns').find((c) => text(c, 'field').replace('$', '.') === column);
        const given = all(shown ?? { children: [] }, 'aggregateTypes').map((a) => a.text.toUpperCase());
        assert.ok(given.includes(aggregate), `${name}: ${column}:${aggregate}`);
      }
      assert.equal(code.replace(/[A-Za-z_.]+:\w+|RowCount|3600|[-+/() ]/g, ''), '', `${name}: ${code}`);
    }
  }
  assert.equal(seen, 3 + 2 * 2 * PARTS.length);
});

test('coverage is exact also if a contact had several supervisors', () => {
  // What the formulas compute, with the rows of an outer join: one for each leg, and one for each call without a leg.
  const share = (calls) => {
    const rows = calls.flatMap((legs, id) => Array.from({ length: Math.max(legs, 1) }, () => ({ id, leg: legs > 0 ? 1 : 0 })));
    const unique = new Set(rows.map((row) => row.id)).size;
    const legs = rows.reduce((sum, row) => sum + row.leg, 0);
    const scope = { unique, legs, RowCount: rows.length };
    const of = (code) => {
      const plain = code.replace(/[A-Za-z_.]+:UNIQUE/g, 'unique').replace(/[A-Za-z_.]+:SUM/g, 'legs');
      return new Function(...Object.keys(scope), `return ${plain}`)(...Object.values(scope));
    };
    return of;
  };
  for (const [, { part, xml }] of [...REPORTS].filter(([, report]) => report.part !== 'records')) {
    const [supervised, coverage] = all(xml, 'aggregates').map((a) => text(a, 'calculatedFormula'));
    const of = share([0, 1, 3, 0, 2]);
    assert.equal(of(supervised), 3, part);
    assert.equal(of(coverage), 3 / 5, part);
    assert.equal(share([0, 0])(supervised), 0, part);
  }
});

test('coverage counts answered contacts by when they began, by agent and by week', () => {
  for (const [, { type, object, began, counted, agent, reports }] of PARTS) {
    const groups = { by_Agent: [agent, began], by_Week: [began] };
    for (const name of reports) {
      const { xml } = REPORTS.get(`Sidedoor/${name}`);
      assert.equal(text(xml, 'reportType'), `${type}__c`, name);
      assert.deepEqual(criteria(xml), counted, name);
      assert.equal(text(xml, 'timeFrameFilter', 'dateColumn'), `${object}$${began}`, name);
      const given = all(xml, 'groupingsDown').map((g) => text(g, 'field'));
      const wanted = groups[/by_\w+$/.exec(name)[0]].map((field) => `${object}$${field}`);
      assert.deepEqual(given, wanted, name);
      const week = all(xml, 'groupingsDown').find((g) => text(g, 'field') === `${object}$${began}`);
      assert.equal(text(week, 'dateGranularity'), 'Week', name);
    }
  }
});

test('each report of the records has the filter of its question', () => {
  const of = (name) => REPORTS.get(`Sidedoor/${name}`).xml;
  const departures = of('Departures_with_Uncertainty');
  const summed = all(departures, 'columns').find((c) => text(c, 'field').endsWith('$Disconnect_Uncertainty_Ms__c'));
  assert.deepEqual(
    all(summed, 'aggregateTypes').map((a) => a.text),
    ['Average', 'Maximum'],
  );
  assert.deepEqual(criteria(departures), [['Disconnected_At__c', 'notEqual', '']]);
  assert.deepEqual(criteria(of('Rejoins_to_Review')), [['Rejoin__c', 'equals', '1']]);
  assert.deepEqual(criteria(of('Left_Overdue')), [['Left_Overdue__c', 'equals', '1']]);
  // By when they joined, because a leg whose leave is still not confirmed has no end.
  assert.equal(last(text(of('Left_Overdue'), 'timeFrameFilter', 'dateColumn')), 'Joined_At__c');
  assert.deepEqual(criteria(of('Barge_Ins')), [['Mode__c', 'equals', 'BARGE']]);
  assert.deepEqual(criteria(of('On_a_Call_Now')), [
    ['Joined_At__c', 'notEqual', ''],
    ['Disconnected_At__c', 'equals', ''],
  ]);
  assert.deepEqual(criteria(of('Ended_after_a_Leave')), [
    ['Customer_Call_Continued__c', 'equals', 'NO'],
    ['Disconnect_Reason__c', 'notEqual', 'CONTACT_ENDED'],
  ]);
  for (const [name, { xml }] of REPORTS) {
    for (const [field, , value] of criteria(xml)) {
      const field_ = FIELDS.get(field);
      if (!field_ || text(field_, 'type') !== 'Picklist') continue;
      const words = all(field_, 'valueSet', 'valueSetDefinition', 'value').map((v) => text(v, 'fullName'));
      assert.ok(words.includes(value), `${name}: ${field} never is ${value}`);
    }
  }
  const groups = (name) => all(of(name), 'groupingsDown').map((g) => [last(text(g, 'field')), text(g, 'dateGranularity')]);
  assert.deepEqual(groups('Hours_by_Week')[0], ['Joined_At__c', 'Week']);
  assert.equal(groups('Hours_by_Agent')[0][0], 'Agent_Username__c');
  assert.equal(groups('Hours_by_Supervisor')[0][0], 'Supervisor_Username__c');
  assert.deepEqual(
    groups('Who_Listened_to_Whom').map(([field]) => field),
    ['Supervisor_Username__c', 'Agent_Username__c'],
  );
});

test('the dashboards use the reports and groupings, and run as the viewer', () => {
  const shown = [];
  const names = ['Supervision', ...PARTS.map(([, { dashboard }]) => dashboard)];
  assert.deepEqual([...DASHBOARDS.keys()].sort(), names.map((name) => `Sidedoor/${name}`).sort());
  for (const [name, { part, xml }] of DASHBOARDS) {
    assert.equal(text(xml, 'dashboardType'), 'LoggedInUser', name);
    for (const component of all(xml, 'dashboardGridLayout', 'dashboardGridComponents', 'dashboardComponent')) {
      const report = REPORTS.get(text(component, 'report'));
      shown.push(text(component, 'report'));
      assert.equal(report.part, part, `${name}: ${text(component, 'report')}`);
      const groupings = all(report.xml, 'groupingsDown', 'field').map((g) => g.text);
      for (const grouping of all(component, 'groupingColumn')) assert.ok(groupings.includes(grouping.text), grouping.text);
      for (const summary of all(component, 'chartSummary')) {
        const column = text(summary, 'column');
        if (column === 'RowCount') continue;
        if (/^FORMULA\d$/.test(column)) {
          assert.ok(
            all(report.xml, 'aggregates').some((a) => text(a, 'developerName') === column),
            `${name}: ${column}`,
          );
          continue;
        }
        const aggregated = all(report.xml, 'columns').find((c) => text(c, 'field') === column);
        assert.ok(
          all(aggregated, 'aggregateTypes').some((a) => a.text === text(summary, 'aggregate')),
          `${name}: ${column}`,
        );
      }
    }
  }
  assert.deepEqual(new Set(shown), new Set(REPORTS.keys()), 'a report is on no dashboard');
});

test('coverage is shown against a goal', () => {
  for (const [, { dashboard }] of PARTS) {
    const { xml } = DASHBOARDS.get(`Sidedoor/${dashboard}`);
    const components = all(xml, 'dashboardGridLayout', 'dashboardGridComponents', 'dashboardComponent');
    const gauge = components.find((c) => text(c, 'componentType') === 'Gauge');
    assert.equal(text(gauge, 'chartSummary', 'column'), 'FORMULA2');
    const marks = ['indicatorBreakpoint1', 'indicatorBreakpoint2', 'gaugeMax'].map((t) => Number(text(gauge, t)));
    assert.deepEqual(marks, [5, 18, 100]);
  }
});

test('tiles stay on the grid and do not overlap', () => {
  for (const [name, { xml }] of DASHBOARDS) {
    const grid = all(xml, 'dashboardGridLayout')[0];
    const width = Number(text(grid, 'numberOfColumns'));
    const taken = new Set();
    for (const tile of all(grid, 'dashboardGridComponents')) {
      const [left, top, wide, high] = ['columnIndex', 'rowIndex', 'colSpan', 'rowSpan'].map((t) => Number(text(tile, t)));
      assert.ok(left + wide <= width, name);
      for (let x = left; x < left + wide; x++) {
        for (let y = top; y < top + high; y++) {
          assert.ok(!taken.has(`${x},${y}`), `${name}: two tiles at ${x},${y}`);
          taken.add(`${x},${y}`);
        }
      }
    }
  }
});

test('the folders are not shared, because the org decides about access', () => {
  const folders = metadataFiles().filter((path) => /\.(report|dashboard)Folder-meta\.xml$/.test(path));
  assert.equal(folders.length, 2);
  for (const path of folders)
    assert.deepEqual(
      readXml(path).children.map((c) => c.tag),
      ['name'],
      path,
    );
  for (const [part] of PARTS) {
    assert.ok(!metadataFiles(FOLDERS[part]).some((path) => path.includes('Folder-meta')), 'the reports go into the same folder');
  }
});
