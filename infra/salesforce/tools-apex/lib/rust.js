// The fields of the Salesforce record that the service writes: the table `fields! { … }` of src/config/salesforce.rs, read as text.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './project.js';

/** [{setting, name, kind}] of every field in the table's order. Throws if the table has an unexpected form. */
export function readTable(code) {
  const begin = code.search(/^fields! \{$/m);
  if (begin < 0) throw new Error('table fields! { … } not found');
  const body = code.slice(code.indexOf('\n', begin) + 1, code.indexOf('\n}', begin) + 1);
  const rows = body.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
  return rows.map((line) => {
    const found = /^\s*(\w+) = "(\w+)", ([A-Z]+), ".*";$/.exec(line);
    if (!found) throw new Error(`invalid field in the table: ${line}`);
    return { setting: found[1], name: found[2], kind: found[3] };
  });
}

/** The field types, as named by describe, that can hold each kind: Map kind → [type]. */
export function readKinds(code) {
  const found = [...code.matchAll(/^const ([A-Z]+): Kinds = &\[([^\]]+)\];$/gm)];
  if (found.length === 0) throw new Error('constants of kinds not found');
  return new Map(found.map(([, kind, words]) => [kind, [...words.matchAll(/"(\w+)"/g)].map((m) => m[1])]));
}

/** The table and the kinds of the service in this repository. */
export function readService() {
  const code = readFileSync(join(REPOSITORY, 'src/config/salesforce.rs'), 'utf8');
  return { table: readTable(code), kinds: readKinds(code) };
}
