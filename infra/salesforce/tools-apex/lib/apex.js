// Parses Apex with the public grammar: syntax errors, and the shape of a class (inner classes, fields, properties, methods).
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  ApexErrorListener,
  ApexParserBaseListener,
  ApexParserFactory,
  ApexParseTreeWalker,
} from '@apexdevtools/apex-parser';
import { SOURCES } from './project.js';

export const CLASSES = join(SOURCES, 'classes');

/** The names of all classes in the project. */
export function classNames() {
  return readdirSync(CLASSES)
    .filter((file) => file.endsWith('.cls'))
    .map((file) => file.slice(0, -'.cls'.length))
    .sort();
}

/** The source of a class. */
export function source(name) {
  return readFileSync(join(CLASSES, `${name}.cls`), 'utf8');
}

class Errors extends ApexErrorListener {
  found = [];
  apexSyntaxError(line, column, message) {
    this.found.push(`${line}:${column} ${message}`);
  }
}

function parse(code) {
  const errors = new Errors();
  const { parser } = ApexParserFactory.createLexerAndParser(code, errors);
  return { unit: parser.compilationUnit(), errors: errors.found };
}

/** Syntax errors with line and column. */
export function syntaxErrors(code) {
  return parse(code).errors;
}

/** The annotations and modifiers of a member, in lower case. */
function modifiersOf(context) {
  let owner = context.parentCtx;
  while (owner && !(owner.modifier_list?.().length > 0)) owner = owner.parentCtx;
  return (owner?.modifier_list() ?? []).map((m) => m.getText().toLowerCase());
}

class Shape extends ApexParserBaseListener {
  classes = new Map();
  #path = [];

  enterClassDeclaration = (context) => {
    this.#path.push(context.id().getText());
    this.classes.set(this.#path.join('.'), { fields: new Map(), properties: new Map(), methods: new Map() });
  };
  exitClassDeclaration = () => {
    this.#path.pop();
  };
  #current() {
    return this.classes.get(this.#path.join('.'));
  }
  enterFieldDeclaration = (context) => {
    const field = { type: context.typeRef().getText(), modifiers: modifiersOf(context) };
    for (const declared of context.variableDeclarators().variableDeclarator_list()) {
      this.#current()?.fields.set(declared.id().getText(), field);
    }
  };
  enterPropertyDeclaration = (context) => {
    // `{ get; set; }`: an accessor without a body counts as code for the test coverage.
    const auto = context.propertyBlock_list().filter((block) => /;$/.test(block.getText())).length;
    const property = { type: context.typeRef().getText(), modifiers: modifiersOf(context), auto };
    this.#current()?.properties.set(context.id().getText(), property);
  };
  enterMethodDeclaration = (context) => {
    const parameters = (context.formalParameters().formalParameterList()?.formalParameter_list() ?? []).map((p) => ({
      type: p.typeRef().getText(),
      name: p.id().getText(),
    }));
    this.#current()?.methods.set(context.id().getText(), {
      returns: context.typeRef()?.getText() ?? 'void',
      parameters,
      modifiers: modifiersOf(context),
    });
  };
}

/** Map of class (inner ones as Outer.Inner) → {fields and properties: Map name → {type, modifiers}, methods: Map name → {…}}. */
export function shape(code) {
  const { unit, errors } = parse(code);
  if (errors.length > 0) throw new Error(errors.join('\n'));
  const listener = new Shape();
  ApexParseTreeWalker.DEFAULT.walk(listener, unit);
  return listener.classes;
}
