// The Salesforce project on disk: its folders, and a parser that turns its XML into plain trees.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { XMLParser, XMLValidator } from 'fast-xml-parser';

export const TOOLS = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
export const PROJECT = join(TOOLS, '..');
export const REPOSITORY = join(PROJECT, '..', '..');
export const SOURCES = join(PROJECT, 'force-app', 'main', 'default');
/** The project of what only some orgs can deploy: its package directories are the folders below it. */
export const OPTIONAL = join(PROJECT, 'optional');
export const MANIFESTS = join(PROJECT, 'manifest');
export const API_VERSION = '62.0';

/** All files below a folder except those in node_modules, as sorted relative paths. */
export function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .filter((path) => !path.split('/').includes('node_modules'))
    .sort();
}

/** The metadata files that are checked here. The bundles in lwc have their own tests. */
export function metadataFiles(folder = SOURCES) {
  return filesBelow(folder).filter((path) => path.endsWith('-meta.xml') && !path.startsWith('lwc/'));
}

/** The folder of a part of the optional project, such as voice. */
export function optional(part) {
  return join(OPTIONAL, part, 'main', 'default');
}

/** The parts of the optional project, by its project file. */
export function optionalParts() {
  return JSON.parse(readFileSync(join(OPTIONAL, 'sfdx-project.json'), 'utf8')).packageDirectories.map((one) => one.path);
}

/** The syntax error of an XML text, or null. */
export function xmlFault(text) {
  const verdict = XMLValidator.validate(text, { allowBooleanAttributes: false });
  return verdict === true ? null : `line ${verdict.err.line}: ${verdict.err.msg}`;
}

const PARSER = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: true,
});

function tree(entry) {
  const tag = Object.keys(entry).find((key) => key !== ':@');
  const inner = entry[tag];
  return {
    tag,
    attributes: entry[':@'] ?? {},
    text: inner.filter((e) => '#text' in e).map((e) => String(e['#text'])).join(''),
    children: inner.filter((e) => !('#text' in e) && !('#comment' in e)).map(tree),
  };
}

/** Parses an XML text into a tree of {tag, attributes, text, children}. */
export function parseXml(text) {
  return tree(PARSER.parse(text).find((e) => !('?xml' in e)));
}

/** Parses a metadata file into such a tree. */
export function readXml(path, folder = SOURCES) {
  return parseXml(readFileSync(join(folder, path), 'utf8'));
}

/** The nodes at a path of tags below a node. */
export function all(node, ...tags) {
  return tags.reduce((nodes, tag) => nodes.flatMap((n) => n.children.filter((c) => c.tag === tag)), [node]);
}

/** The text of the first node at a path of tags, or undefined. */
export function text(node, ...tags) {
  return all(node, ...tags)[0]?.text;
}

/** The component name in a metadata file's path: `X` of `folder/X.kind-meta.xml`. */
export function nameOf(path) {
  return basename(path).replace(/\.[A-Za-z]+-meta\.xml$/, '');
}

/** The custom fields of an object, by API name. */
export function fieldsOf(object, root = SOURCES) {
  const folder = `objects/${object}/fields/`;
  const files = metadataFiles(root).filter((path) => path.startsWith(folder));
  return new Map(files.map((path) => [nameOf(path), readXml(path, root)]));
}
