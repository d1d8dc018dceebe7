// The row as the service writes it: the table `fields! { … }` of src/config/salesforce.rs, read as text.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './project.js';

/** [{setting, name, kind}] of every field, in the table's order; throws where the table is not as expected. */
export function readTable(code) {
  const begin = code.search(/^fields! \{$/m);
  if (begin < 0) throw new Error('no table fields! { … }');
  const body = code.slice(code.indexOf('\n', begin) + 1, code.indexOf('\n}', begin) + 1);
  const rows = body.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
  return rows.map((line) => {
    const found = /^\s*(\w+) = "(\w+)", ([A-Z]+), ".*";$/.exec(line);
    if (!found) throw new Error(`not a field of the table: ${line}`);
    return { setting: found[1], name: found[2], kind: found[3] };
  });
}

/** What describe calls the types that may hold a kind: Map kind → [type]. */
export function readKinds(code) {
  const found = [...code.matchAll(/^const ([A-Z]+): Kinds = &\[([^\]]+)\];$/gm)];
  if (found.length === 0) throw new Error('no constants of kinds');
  return new Map(found.map(([, kind, words]) => [kind, [...words.matchAll(/"(\w+)"/g)].map((m) => m[1])]));
}

/** The table and the kinds of the service that is checked out beside this project. */
export function readService() {
  const code = readFileSync(join(REPOSITORY, 'src/config/salesforce.rs'), 'utf8');
  return { table: readTable(code), kinds: readKinds(code) };
}
