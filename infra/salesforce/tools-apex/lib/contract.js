// Reads openapi.yaml and derives the Apex types of its schemas.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { REPOSITORY } from './project.js';

/** The contract of the service. */
export function readContract() {
  return parse(readFileSync(join(REPOSITORY, 'openapi.yaml'), 'utf8'));
}

/** The Apex type for a property's schema. */
export function apexType(schema, schemas) {
  const meant = schema.allOf ? schema.allOf[0] : schema;
  if (meant.$ref) {
    const name = meant.$ref.split('/').at(-1);
    return schemas[name].type === 'object' ? name : apexType(schemas[name], schemas);
  }
  switch (meant.type) {
    case 'string':
      return 'String';
    case 'boolean':
      return 'Boolean';
    case 'integer':
      return meant.format === 'int64' ? 'Long' : 'Integer';
    case 'number':
      return 'Double';
    case 'array':
      return `List<${apexType(meant.items, schemas)}>`;
    default:
      throw new Error(`no Apex type for ${JSON.stringify(schema)}`);
  }
}

/** Words that cannot be names in Apex (Apex Developer Guide, Reserved Keywords). */
export const RESERVED = new Set(
  `abstract activate and any array as asc autonomous begin bigdecimal blob boolean break bulk by byte case cast catch char
  class collect commit const continue currency date datetime decimal default delete desc do double else end enum exception
  exit export extends false final finally float for from global goto group having hint if implements import in inner insert
  instanceof int integer interface into join like limit list long loop map merge new not null nulls number object of on or
  outer override package parallel pragma private protected public retrieve return rollback select set short sobject sort
  static string super switch synchronized system testmethod then this throw time transaction trigger true try undelete update
  upsert using virtual void webservice when where while`.split(/\s+/),
);

/** Every property of every schema, as `Schema.property`. */
export function properties(contract) {
  return Object.entries(contract.components.schemas).flatMap(([schema, { properties: members = {} }]) =>
    Object.keys(members).map((property) => ({ schema, property })),
  );
}
