#!/usr/bin/env node
// Writes a copy of this project for an org without VoiceCall into a new folder, to deploy from there:
//   node scripts/without-voice-call.mjs FOLDER
// VoiceCall comes with Salesforce Voice or Sales Dialer. Other orgs reject a lookup to it or a permission on it, and with it the whole
// deployment. The copy leaves out the lookup, every element that names it, and the permission set that reads voice calls.
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
/** The elements in which metadata names one field, and the manifest's members. They are never nested. */
const ONE_TO_A_FIELD = /^[ \t]*<(fieldPermissions|layoutItems|columns|members)>(?:(?!<\1>)[^])*?<\/\1>\r?\n/gm;

/** Removes the elements that name the lookup or the permission set from an XML text. */
export function without(xml) {
  const names = new RegExp(`[>$.](${FIELD}|${SET})<`);
  return xml.replace(ONE_TO_A_FIELD, (element) => (names.test(element) ? '' : element));
}

/** Writes the copy into a folder that must not exist yet. */
export function write(folder) {
  if (existsSync(folder)) throw new Error(`${folder} already exists: choose a new folder`);
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
      console.log(`Done. Deploy from ${resolve(folder)}, and set salesforce.fields.voice_call = "" in sidedoor.toml.`);
    } catch (e) {
      console.error(e.message);
      process.exitCode = 1;
    }
  }
}
