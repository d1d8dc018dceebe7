// The other checkers: apex-ls (types, methods, fields and objects, with declarations of Salesforce's own) and PMD, which both need
// Java and come in one npm package, so that nothing else is downloaded; and prettier.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { CLASSES } from './apex.js';
import { TOOLS } from './project.js';

const require = createRequire(import.meta.url);
const LIBRARIES = join(dirname(require.resolve('@salesforce/code-analyzer-pmd-engine')), 'java-lib', '*');

/** The version of Java, or null if it is not installed. */
export function javaVersion() {
  const asked = spawnSync('java', ['-version'], { encoding: 'utf8' });
  return asked.error ? null : /version "([^"]+)"/.exec(asked.stderr)?.[1];
}

/** The problems that apex-ls finds in an SFDX project folder, as text; empty if there are none. */
export function typeErrors(folder) {
  const run = spawnSync(
    'java',
    ['-cp', LIBRARIES, 'io.github.apexdevtools.apexls.CheckForIssues', '-n', '-d', 'unused', '-w', folder],
    { encoding: 'utf8', timeout: 120_000, maxBuffer: 16 * 1024 * 1024 },
  );
  if (run.error) throw run.error;
  const output = `${run.stdout}${run.stderr}`.trim();
  // Exit code 4 means that it found problems. Another code without output means that apex-ls itself failed.
  if (run.status !== 0 && output === '') throw new Error(`apex-ls exited with code ${run.status}`);
  return output;
}

/** The violations of PMD's recommended rules in the classes: [{rule, file, line, message}]. */
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

/** The files that prettier would format differently; empty if there are none. Its Apex parser is a native program, so it needs no Java. */
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
