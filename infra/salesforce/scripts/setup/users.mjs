// The list of users for setup.mjs: a CSV with the columns username, role, connect_username, in any order.

const SUPERVISOR = ['Sidedoor_Supervisor', 'Sidedoor_Callout'];
/** What each role gets. An agent gets no set: only their Connect user name is entered. */
const SETS = {
  supervisor: SUPERVISOR,
  operator: [...SUPERVISOR, 'Sidedoor_Operator', 'Sidedoor_Operator_Callout'],
  operations: ['Sidedoor_Operations'],
  integration: ['Sidedoor_Integration'],
  agent: [],
};
/** What each role gets beside, by the part of the org that it belongs to. */
const PARTS = {
  voice: {
    supervisor: ['Sidedoor_Voice_Reports'],
    operator: ['Sidedoor_Voice_Reports'],
    operations: ['Sidedoor_Voice_Reports'],
    integration: ['Sidedoor_Voice_Calls'],
  },
  messaging: {
    supervisor: ['Sidedoor_Messaging_Reports'],
    operator: ['Sidedoor_Messaging_Reports'],
    operations: ['Sidedoor_Messaging_Reports'],
    integration: ['Sidedoor_Messaging_Sessions'],
  },
  app: { supervisor: ['Sidedoor_App'], operator: ['Sidedoor_App'] },
  flow: { supervisor: ['Sidedoor_Listen_Flow'], operator: ['Sidedoor_Listen_Flow'] },
  notice: { agent: ['Sidedoor_Agent'] },
};
const COLUMNS = ['username', 'role', 'connect_username'];
/** What may stand in a query and a command as it is. Amazon Connect allows these characters in a user name, up to 100. */
const NAME = /^[A-Za-z0-9_.@+-]{1,100}$/;

/** The rows of a CSV (RFC 4180), each with the number of its line. */
export function readCsv(text) {
  const rows = [];
  let [row, cell, quoted, line, begin] = [[], '', false, 1, 1];
  const endCell = () => {
    row.push(cell.trim());
    cell = '';
  };
  const endRow = () => {
    endCell();
    if (row.some((one) => one !== '')) rows.push({ line: begin, cells: row });
    row = [];
    begin = line;
  };
  const code = text.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  for (let at = 0; at < code.length; at++) {
    const char = code[at];
    if (char === '\n') line += 1;
    if (quoted && char === '"' && code[at + 1] === '"') {
      cell += '"';
      at += 1;
    } else if (char === '"') quoted = !quoted;
    else if (!quoted && char === ',') endCell();
    else if (!quoted && char === '\n') endRow();
    else cell += char;
  }
  endRow();
  return rows;
}

/**
 * Reads the list: {people: [{line, username, role, sets, licence, connectUsername}], faults: [text]}. `parts` says which parts the org has,
 * such as {voice: true}. User names are in lower case, because Salesforce ignores their case.
 */
export function readUsers(text, parts = {}) {
  const [head, ...rows] = readCsv(text);
  const columns = (head?.cells ?? []).map((one) => one.toLowerCase());
  const missing = COLUMNS.filter((name) => !columns.includes(name));
  const unknown = columns.filter((name) => !COLUMNS.includes(name));
  if (missing.length > 0 || unknown.length > 0) {
    return { people: [], faults: [`line 1: expected the columns ${COLUMNS.join(', ')}; found ${columns.join(', ') || 'none'}`] };
  }
  const faults = [];
  const people = [];
  const seen = new Map();
  for (const { line, cells } of rows) {
    const [username, role, connectUsername] = COLUMNS.map((name) => cells[columns.indexOf(name)] ?? '');
    const key = username.toLowerCase();
    const before = faults.length;
    if (cells.length !== columns.length) faults.push(`line ${line}: has ${cells.length} cells; expected ${columns.length}`);
    if (!NAME.test(username)) faults.push(`line ${line}: username "${username}" is not a user name of Salesforce`);
    if (!(role.toLowerCase() in SETS))
      faults.push(`line ${line}: unknown role "${role}"; expected one of ${Object.keys(SETS).join(', ')}`);
    if (connectUsername !== '' && !NAME.test(connectUsername)) {
      faults.push(`line ${line}: connect_username "${connectUsername}" is not a user name of Amazon Connect`);
    }
    if (seen.has(key)) faults.push(`line ${line}: ${username} is in line ${seen.get(key)} already`);
    seen.set(key, line);
    if (faults.length > before) continue;
    const kind = role.toLowerCase();
    const more = Object.entries(PARTS).flatMap(([part, sets]) => (parts[part] ? (sets[kind] ?? []) : []));
    people.push({
      line,
      username: key,
      role: kind,
      sets: [...SETS[kind], ...more],
      licence: kind === 'integration',
      connectUsername: connectUsername || null,
    });
  }
  if (people.length === 0 && faults.length === 0) faults.push('the list names no user');
  return { people, faults };
}
