// Salesforce's description of its metadata types, published in the package @salesforce/types, and a check of a file against it: every
// element is known, none is missing, every value has the right type, and no single element occurs twice.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** Reads metadata.d.ts into {types: Map name → Map member → {type, optional, many}, enums: Map name → Set}. */
export function readTypes() {
  const lines = readFileSync(require.resolve('@salesforce/types/metadata').replace(/\.js$/, '.d.ts'), 'utf8').split('\n');
  const types = new Map();
  const enums = new Map();
  const aliases = new Map();
  const parents = [];
  let open = null;
  for (const line of lines) {
    const begin = /^export type (\w+) = (?:(\w+) & )?\{$/.exec(line);
    const member = /^    (\w+)(\?)?: (.+);$/.exec(line);
    const words = /^export type (\w+) = ('.*');$/.exec(line);
    const alias = /^export type (\w+) = (\w+);$/.exec(line);
    if (begin) {
      open = new Map();
      types.set(begin[1], open);
      if (begin[2]) parents.push([begin[1], begin[2]]);
    } else if (member && open) {
      const many = member[3].endsWith('[]');
      open.set(member[1], { type: member[3].replace(/\[\]$/, ''), optional: member[2] === '?', many });
    } else if (words) {
      enums.set(words[1], new Set([...words[2].matchAll(/'([^']*)'/g)].map((m) => m[1])));
    } else if (alias) {
      aliases.set(alias[1], alias[2]);
    }
    if (line === '};') open = null;
  }
  // A type may come before the one that it extends, and that may extend another.
  const extended = new Map(parents);
  for (const [name] of parents) {
    for (let parent = extended.get(name); parent; parent = extended.get(parent)) {
      for (const [member, type] of types.get(parent) ?? []) if (!types.get(name).has(member)) types.get(name).set(member, type);
    }
  }
  for (const [name, meant] of aliases) {
    if (types.has(meant)) types.set(name, types.get(meant));
  }
  return { types, enums };
}

const SCALARS = {
  boolean: /^(true|false)$/,
  number: /^-?\d+(\.\d+)?$/,
  string: /^[^]*$/,
  any: /^[^]*$/,
};

/** The errors in a tree of this type, each with the element's path. */
export function faults(node, wsdl, type = node.tag, path = node.tag) {
  const members = wsdl.types.get(type);
  if (!members) return [`${path}: Salesforce has no type ${type}`];
  const found = [];
  const seen = [];
  for (const child of node.children) {
    const at = `${path}/${child.tag}`;
    const member = members.get(child.tag);
    if (!member) {
      found.push(`${at}: ${type} has no such element`);
      continue;
    }
    const before = seen.includes(child.tag);
    if (before && !member.many) found.push(`${at}: may occur only once`);
    // Otherwise the metadata API rejects the file with "duplicated at this location".
    if (before && seen.at(-1) !== child.tag) found.push(`${at}: elements with the same name must be adjacent`);
    seen.push(child.tag);
    if (wsdl.types.has(member.type) && member.type !== 'Metadata') {
      found.push(...faults(child, wsdl, member.type, at));
    } else if (child.children.length > 0) {
      found.push(`${at}: holds elements; expected a ${member.type}`);
    } else if (wsdl.enums.has(member.type)) {
      if (!wsdl.enums.get(member.type).has(child.text)) found.push(`${at}: "${child.text}" is not a ${member.type}`);
    } else if (!(SCALARS[member.type] ?? SCALARS.string).test(child.text)) {
      found.push(`${at}: "${child.text}" is not a ${member.type}`);
    }
  }
  for (const [name, member] of members) {
    if (!member.optional && !member.many && !seen.includes(name)) found.push(`${path}: ${name} is missing`);
  }
  return found;
}
