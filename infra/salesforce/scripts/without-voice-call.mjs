#!/usr/bin/env node
// Writes this project for an org that has no VoiceCall into a new folder, from which it is deployed:
//   node scripts/without-voice-call.mjs FOLDER
// VoiceCall comes with Salesforce Voice or Sales Dialer. Elsewhere Salesforce refuses a lookup to it, a permission on it, and so
// the whole deployment. What is left out: the lookup, every line that names it, and the permission set that reads voice calls.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..');
const TAKEN = ['force-app', 'manifest', 'sfdx-project.json', '.forceignore'];
const FIELD = 'Voice_Call__c';
const SET = 'Sidedoor_Voice_Calls';
const SOURCES = 'force-app/main/default';
const LEFT_OUT = [
  `${SOURCES}/objects/VoiceCallParticipant__c/fields/${FIELD}.field-meta.xml`,
  `${SOURCES}/permissionsets/${SET}.permissionset-meta.xml`,
];
/** The elements, one to a field, in which metadata names a field; and the manifest's members. None is ever inside another. */
const ONE_TO_A_FIELD = /^[ \t]*<(fieldPermissions|layoutItems|columns|members)>(?:(?!<\1>)[^])*?<\/\1>\r?\n/gm;

/** An XML text without the elements that name the lookup or the permission set. */
export function without(xml) {
  const names = new RegExp(`[>$.](${FIELD}|${SET})<`);
  return xml.replace(ONE_TO_A_FIELD, (element) => (names.test(element) ? '' : element));
}

/** Writes the project into a folder that is not there yet. */
export function write(folder) {
  if (existsSync(folder)) throw new Error(`${folder} is there already: name a folder that is not`);
  mkdirSync(folder, { recursive: true });
  for (const name of TAKEN) {
    const source = join(PROJECT, name);
    if (existsSync(source)) cpSync(source, join(folder, name), { recursive: true });
  }
  for (const path of LEFT_OUT) rmSync(join(folder, path));
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.xml')) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const before = readFileSync(path, 'utf8');
    const after = without(before);
    if (after.includes(FIELD) || after.includes(SET)) throw new Error(`${path} still names ${FIELD} or ${SET}`);
    if (after !== before) writeFileSync(path, after);
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [folder, ...more] = process.argv.slice(2);
  if (!folder || more.length > 0) {
    console.error('usage: node scripts/without-voice-call.mjs FOLDER');
    process.exitCode = 2;
  } else {
    try {
      write(resolve(folder));
      console.log(`Written. Deploy from ${resolve(folder)}, and set salesforce.fields.voice_call = "" in sidedoor.toml.`);
    } catch (e) {
      console.error(e.message);
      process.exitCode = 1;
    }
  }
}
