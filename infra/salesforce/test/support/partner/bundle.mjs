/** Bundles the file given as first argument with webpack into the second one. Warnings are errors. */
import path from 'node:path';
import webpack from 'webpack';

const [entry, output] = process.argv.slice(2);
const compiler = webpack({
    mode: 'production',
    target: ['web', 'es2022'],
    context: path.dirname(entry),
    entry,
    output: { path: path.dirname(output), filename: path.basename(output) }
});
compiler.run((failed, stats) => {
    const { errors, warnings } = stats ? stats.toJson({ all: false, errors: true, warnings: true }) : { errors: [], warnings: [] };
    for (const problem of [failed, ...errors, ...warnings].filter(Boolean)) {
        console.error(problem.message);
        process.exitCode = 1;
    }
    compiler.close(() => {});
});
