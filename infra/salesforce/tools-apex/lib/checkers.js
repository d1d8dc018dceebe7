// The checkers beside the grammar: apex-ls (types, methods, fields and objects, against declarations of Salesforce's own; needs
// Java) and PMD (Java too), both inside one npm package, so nothing else is downloaded; and prettier.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { CLASSES } from './apex.js';
import { TOOLS } from './project.js';

const require = createRequire(import.meta.url);
const LIBRARIES = join(dirname(require.resolve('@salesforce/code-analyzer-pmd-engine')), 'java-lib', '*');

/** Whether there is a Java to run them with. */
export function javaVersion() {
  const asked = spawnSync('java', ['-version'], { encoding: 'utf8' });
  return asked.error ? null : /version "([^"]+)"/.exec(asked.stderr)?.[1];
}

/** What apex-ls finds wrong in an SFDX project folder; empty if nothing. */
export function typeErrors(folder) {
  const run = spawnSync(
    'java',
    ['-cp', LIBRARIES, 'io.github.apexdevtools.apexls.CheckForIssues', '-n', '-d', 'unused', '-w', folder],
    { encoding: 'utf8', timeout: 120_000, maxBuffer: 16 * 1024 * 1024 },
  );
  if (run.error) throw run.error;
  const told = `${run.stdout}${run.stderr}`.trim();
  // It exits with 4 where it found something; anything else but 0 is a fault of its own.
  if (run.status !== 0 && told === '') throw new Error(`apex-ls ended with ${run.status}`);
  return told;
}

/** What PMD's recommended rules say of the classes: [{rule, file, line, message}]. */
export async function lint() {
  const { CodeAnalyzer, CodeAnalyzerConfig } = require('@salesforce/code-analyzer-core');
  const { createEnginePlugin } = require('@salesforce/code-analyzer-pmd-engine');
  const analyzer = new CodeAnalyzer(CodeAnalyzerConfig.withDefaults());
  await analyzer.addEnginePlugin(createEnginePlugin());
  const workspace = await analyzer.createWorkspace([CLASSES]);
  const rules = await analyzer.selectRules(['pmd:Recommended'], { workspace });
  const result = await analyzer.run(rules, { workspace });
  return {
    rules: rules.getCount(),
    violations: result.getViolations().map((violation) => ({
      rule: violation.getRule().getName(),
      file: violation.getPrimaryLocation().getFile().split('/').at(-1),
      line: violation.getPrimaryLocation().getStartLine(),
      message: violation.getMessage(),
    })),
  };
}

/** What prettier would format otherwise; empty if nothing. Its Apex reader is a program inside the npm package, not Java. */
export function unformatted(files = join(CLASSES, '*.cls')) {
  const prettier = join(dirname(require.resolve('prettier/package.json')), 'bin', 'prettier.cjs');
  const config = join(TOOLS, '.prettierrc.json');
  const run = spawnSync(process.execPath, [prettier, '--check', '--config', config, files], {
    encoding: 'utf8',
    cwd: TOOLS,
    timeout: 120_000,
  });
  if (run.error) throw run.error;
  return run.status === 0 ? '' : `${run.stdout}${run.stderr}`;
}
