// The fields of the Salesforce record that the service writes: the table `fields! { … }` of src/config/salesforce.rs, read as text.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './project.js';

/** [{setting, name, kind}] of every field in the table's order; the name is empty if the field is off by default. Throws if the table has
 * an unexpected form. */
export function readTable(code) {
  const begin = code.search(/^fields! \{$/m);
  if (begin < 0) throw new Error('table fields! { … } not found');
  const body = code.slice(code.indexOf('\n', begin) + 1, code.indexOf('\n}', begin) + 1);
  const rows = body.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
  return rows.map((line) => {
    const found = /^\s*(\w+) = "(\w*)", ([A-Z]+), ".*";$/.exec(line);
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

const WORDS = {
  Mode__c: ['crates/sidedoor-domain/src/supervision.rs', 'Mode'],
  Origin__c: ['crates/sidedoor-domain/src/supervision.rs', 'Origin'],
  Channel__c: ['crates/sidedoor-domain/src/supervision.rs', 'Channel'],
  Disconnect_Reason__c: ['crates/sidedoor-domain/src/departure.rs', 'Reason'],
  Disconnect_Source__c: ['crates/sidedoor-domain/src/evidence.rs', 'Source'],
  Calibration_Grade__c: ['crates/clock-calibration/src/lib.rs', 'Grade'],
  Confirmation__c: ['crates/sidedoor-domain/src/confirmation.rs', 'Confirmation'],
  Customer_Call_Continued__c: ['src/salesforce/record.rs', null],
};

/** The words that the service writes into each field that has a fixed set of words: Map field → [word]. */
export function readWords(read = (path) => readFileSync(join(REPOSITORY, path), 'utf8')) {
  return new Map(
    Object.entries(WORDS).map(([field, [path, type]]) => {
      const code = read(path);
      const from = type === null ? code.search(/^fn continued\(/m) : code.search(new RegExp(`^impl ${type} \\{$`, 'm'));
      const part = from < 0 ? '' : code.slice(from, code.indexOf('\n}', from));
      const body = type === null ? part : part.slice(Math.max(part.indexOf('fn as_str'), 0));
      const words = [...body.matchAll(/=> "([A-Z_]+)",/g)].map(([, word]) => word);
      if (words.length < 2) throw new Error(`no words of ${field} found in ${path}`);
      return [field, words];
    }),
  );
}
