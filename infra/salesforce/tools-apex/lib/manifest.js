// The manifests: which components each names, and on which other components a component depends, read from the metadata itself.
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { MANIFESTS, OPTIONAL, PROJECT, all, optionalParts, parseXml, text } from './project.js';

process.env.SF_DISABLE_LOG_FILE = 'true';
const require = createRequire(import.meta.url);

/** The manifests of a set-up, in this order; the last two only in orgs that have the object: VoiceCall, MessagingSession. */
export const ORDER = ['core', 'callout', 'reports', 'flows', 'voice', 'messaging'];
/** The manifests that are deployed from the folder optional. */
export const FROM_OPTIONAL = ['voice', 'messaging', 'trusted-ccp', 'trusted-stream', 'app', 'voice-page'];

/** The names of all manifests. */
export function manifestNames() {
  return readdirSync(MANIFESTS).map((file) => basename(file, '.xml'));
}

/** One manifest: {version, comment, members}, each member as `Type:name`. */
export function readManifest(name) {
  const code = readFileSync(join(MANIFESTS, `${name}.xml`), 'utf8');
  const tree = parseXml(code);
  return {
    version: text(tree, 'version'),
    comment: /<!--([^]*?)-->/.exec(code)[1].trim(),
    members: all(tree, 'types').flatMap((type) => all(type, 'members').map((member) => `${text(type, 'name')}:${member.text}`)),
  };
}

/** The folders that a manifest is deployed from. */
export function foldersOf(name) {
  return FROM_OPTIONAL.includes(name) ? optionalParts().map((part) => join(OPTIONAL, part)) : [join(PROJECT, 'force-app')];
}

/** The components of a folder, as `Type:name`, with the children of an object and of the file of labels. A folder counts as the type of what it holds. */
export function componentsOf(folders) {
  const { ComponentSet } = require('@salesforce/source-deploy-retrieve');
  const found = [];
  for (const component of ComponentSet.fromSource(folders).getSourceComponents()) {
    found.push(component);
    found.push(...component.getChildren());
  }
  return found.map((c) => ({
    id: `${c.type.name.replace(/^(Report|Dashboard)Folder$/, '$1')}:${c.fullName}`,
    parent: c.parent ? `${c.parent.type.name}:${c.parent.fullName}` : null,
    files: c.content ? c.walkContent().concat(c.xml ?? []) : [c.xml].filter(Boolean),
  }));
}

/** The manifest of each component: Map id → [manifest]. A child goes with its parent, if that is named. */
export function placed(components, manifests) {
  const named = (members, id) => members.includes(id) || members.includes(`${id.split(':')[0]}:*`);
  return new Map(
    components.map(({ id, parent, from }) => [
      id,
      manifests
        .filter((m) => m.from === from && (named(m.members, id) || (parent && named(m.members, parent))))
        .map((m) => m.name),
    ]),
  );
}

/** What a component's files name of the project: the ids of `known` that occur in its texts. */
export function namedBy(component, known) {
  const code = component.files.map((file) => readFileSync(file, 'utf8')).join('\n');
  const words = new Set(code.match(/[A-Za-z][A-Za-z0-9_]*/g));
  const found = [];
  for (const { id } of known) {
    if (id === component.id) continue;
    const [type, fullName] = id.split(/:(.*)/s);
    const short = fullName.split(/[./]/).at(-1);
    if (NAMED[type]?.(code, words, short, fullName)) found.push(id);
  }
  return found;
}

const tagged = (code, short, ...tags) => tags.some((tag) => code.includes(`<${tag}>${short}</${tag}>`));

/** How metadata and code refer to a component, by its type. */
const NAMED = {
  ApexClass: (code, words, short) => words.has(short),
  CustomLabel: (code, words, short) => words.has(short),
  CustomObject: (code, words, short) => words.has(short),
  // A field of a standard object counts only with its object: a text or a dynamic query may name it in an org that does not have it.
  CustomField: (code, words, short, fullName) => {
    const object = fullName.split('.')[0];
    return words.has(short) && (/__\w+$/.test(object) || new RegExp(`>${object}[.$<]`).test(code));
  },
  CustomPermission: (code, words, short) => words.has(short),
  CustomTab: (code, words, short) => tagged(code, short, 'tab', 'tabs'),
  Dashboard: () => false,
  ExternalCredential: (code, words, short) =>
    tagged(code, short, 'externalCredential') || code.includes(`<externalCredentialPrincipal>${short}-`),
  FlexiPage: (code, words, short) => words.has(short),
  Flow: (code, words, short) => tagged(code, short, 'flow', 'flowName', 'customActionFlow', 'flowDefinition'),
  LightningComponentBundle: (code, words, short) => code.includes(`'c/${short}'`) || tagged(code, short, 'componentName'),
  NamedCredential: (code, words, short) =>
    tagged(code, short, 'namedCredential', 'namedCredentialReference') || code.includes(`callout:${short}`),
  Report: (code, words, short, fullName) => fullName.includes('/') && tagged(code, fullName, 'report'),
  ReportType: (code, words, short) => tagged(code, `${short}__c`, 'reportType'),
  CustomApplication: (code, words, short) => tagged(code, short, 'application'),
};
