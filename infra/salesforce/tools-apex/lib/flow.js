// A flow's metadata, read as a graph: its elements, where each goes next, its resources, and what it names of them.
import { all, text } from './project.js';

const ELEMENTS = ['actionCalls', 'assignments', 'decisions', 'loops', 'recordLookups', 'screens', 'subflows'];
const RESOURCES = ['variables', 'formulas', 'choices', 'constants', 'textTemplates'];
/** Every kind of child that needs no check here. A kind that is not listed would pass unseen. */
const OTHERS = [
  'apiVersion',
  'description',
  'environments',
  'interviewLabel',
  'isAdditionalPermissionRequiredToRun',
  'label',
  'processMetadataValues',
  'processType',
  'runInMode',
  'start',
  'status',
];

/** All nodes below a node that have this tag. */
export function below(node, tag) {
  return node.children.flatMap((child) => [...(child.tag === tag ? [child] : []), ...below(child, tag)]);
}

/** The elements of a flow: Map name → node. */
export function elementsOf(flow) {
  return new Map(ELEMENTS.flatMap((tag) => all(flow, tag).map((node) => [text(node, 'name'), node])));
}

/** The fields of a screen, or of all screens: Map name → node. */
export function fieldsOfScreens(flow, screen) {
  const screens = screen ? [elementsOf(flow).get(screen)] : all(flow, 'screens');
  return new Map(screens.flatMap((node) => below(node, 'fields').map((field) => [text(field, 'name'), field])));
}

/** The resources of a flow: Map name → node. */
export function resourcesOf(flow) {
  return new Map(RESOURCES.flatMap((tag) => all(flow, tag).map((node) => [text(node, 'name'), node])));
}

/** What a node names: references to elements and resources, and the merge fields in its texts and formulas. */
export function namesIn(node) {
  const tags = ['elementReference', 'leftValueReference', 'choiceReferences', 'defaultSelectedChoiceReference'];
  const named = tags.flatMap((tag) => below(node, tag).map((one) => one.text));
  const texts = ['fieldText', 'expression', 'formulaExpression', 'helpText', 'interviewLabel', 'stringValue'];
  const written = texts.flatMap((tag) => below(node, tag).map((one) => one.text));
  return [...named, ...written.flatMap((one) => [...one.matchAll(/\{!([^}]+)\}/g)].map(([, name]) => name))];
}

/**
 * The errors of a flow: names that it does not have, elements that nothing leads to, actions without a fault path, and names that occur
 * twice. `outputs` is what an action gives, by the name of the action: Map class → [name].
 */
export function flowFaults(flow, outputs) {
  const found = [];
  const elements = elementsOf(flow);
  const fields = fieldsOfScreens(flow);
  const resources = resourcesOf(flow);
  for (const { tag } of flow.children) {
    if (![...ELEMENTS, ...RESOURCES, ...OTHERS].includes(tag)) found.push(`${tag}: not known to this check`);
  }
  const rules = all(flow, 'decisions', 'rules').map((rule) => text(rule, 'name'));
  // Salesforce ignores the case of these names, and they share one space.
  const names = [
    ...ELEMENTS.flatMap((tag) => all(flow, tag).map((node) => text(node, 'name'))),
    ...RESOURCES.flatMap((tag) => all(flow, tag).map((node) => text(node, 'name'))),
    ...all(flow, 'screens').flatMap((screen) => below(screen, 'fields').map((field) => text(field, 'name'))),
    ...rules,
  ];
  const seen = new Set();
  for (const name of names) {
    if (!/^[A-Za-z]([A-Za-z0-9]|_(?!_|$))*$/.test(name)) found.push(`${name}: not an API name`);
    if (seen.has(name.toLowerCase())) found.push(`${name}: occurs twice`);
    seen.add(name.toLowerCase());
  }
  for (const target of below(flow, 'targetReference')) {
    if (!elements.has(target.text)) found.push(`${target.text}: a path leads to it, and it does not exist`);
  }
  const reached = new Set();
  const open = below(all(flow, 'start')[0] ?? { children: [] }, 'targetReference').map((target) => target.text);
  while (open.length > 0) {
    const name = open.pop();
    if (reached.has(name) || !elements.has(name)) continue;
    reached.add(name);
    open.push(...below(elements.get(name), 'targetReference').map((target) => target.text));
  }
  for (const name of elements.keys()) if (!reached.has(name)) found.push(`${name}: no path leads to it`);
  for (const name of namesIn(flow)) {
    const [first, member] = name.split('.');
    if (first.startsWith('$')) continue;
    const call = elements.get(first);
    if (call?.tag === 'actionCalls') {
      const given = text(call, 'storeOutputAutomatically') === 'true' ? (outputs.get(text(call, 'actionName')) ?? []) : [];
      if (!given.includes(member)) found.push(`${name}: the action does not give it`);
    } else if (!resources.has(name) && !fields.has(name)) found.push(`${name}: does not exist`);
  }
  for (const call of all(flow, 'actionCalls')) {
    if (all(call, 'faultConnector').length === 0) found.push(`${text(call, 'name')}: has no fault path`);
  }
  return found;
}
