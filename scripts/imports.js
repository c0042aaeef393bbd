/**
 * Who may import whom: index.ts → facade/* → facade/boundary/* → #ferropool-addon, and nothing upwards; policy and core stay free
 * of what they must not know. `npm run lint` prints the violations, `__test__/house.spec.ts` asserts that there are none.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './run.js';

/** The one file that may name the addon. */
const LOADER = 'facade/boundary/load.ts';

/** The layers from the top; a layer may import from itself and from those below, or only from what `to` names. */
const LAYERS = [
  { name: 'index.ts', holds: (file) => file === 'index.ts', to: ['facade'] },
  { name: 'adapters', holds: (file) => file.startsWith('facade/adapters/'), to: ['adapters', 'facade'] },
  { name: 'boundary', holds: (file) => file.startsWith('facade/boundary/'), to: ['boundary'] },
  { name: 'facade', holds: (file) => file.startsWith('facade/'), to: ['facade', 'boundary'] },
];

/** Every violation in the sources below `base`, as sentences. */
export function violations(base = root) {
  const sources = ['index.ts', ...listed(base, 'facade', '.ts')].filter((file) => existsSync(path.join(base, file)));
  const typescript = sources.flatMap((file) => importViolations(file, readFileSync(path.join(base, file), 'utf8')));
  const rust = listed(base, 'crate', '.rs').flatMap((file) =>
    unsafeViolations(file, readFileSync(path.join(base, file), 'utf8')),
  );
  return [...typescript, ...rust, ...crateViolations(base)];
}

/** What one TypeScript source imports that its layer must not. `file` is relative to the root, with forward slashes. */
export function importViolations(file, text) {
  const found = [];
  const code = withoutComments(text);
  if (file !== LOADER && /['"`]#ferropool-addon['"`]|\.node['"`]/.test(code))
    found.push(`${file} names the addon; only ${LOADER} may`);
  for (const wanted of importedBy(code)) {
    if (wanted.startsWith('node:') || wanted === '#ferropool-addon') continue;
    const target = wanted.startsWith('.') ? path.posix.join(path.posix.dirname(file), wanted) : null;
    const from = LAYERS.find((layer) => layer.holds(file));
    const to = target === null ? undefined : LAYERS.find((layer) => layer.holds(target));
    if (target === null) found.push(`${file} imports the package "${wanted}"; the product has no run-time dependency`);
    else if (!to || !from?.to.includes(to.name)) found.push(`${file} imports ${target}, which is not below it`);
  }
  return found;
}

/** `unsafe` stands in one file of the binding, so that there is one place to read it. */
export function unsafeViolations(file, text) {
  const code = withoutComments(text).replace(/"(?:[^"\\]|\\.)*"/g, '""');
  return /\bunsafe\b/.test(code) && file !== 'crate/binding/ffi.rs'
    ? [`${file} says unsafe; only crate/binding/ffi.rs may`]
    : [];
}

function crateViolations(base) {
  const found = [];
  const banned = { policy: ['tokio', 'hyper', 'napi', 'rand', 'futures'], core: ['napi', 'napi-derive'] };
  for (const [crate, names] of Object.entries(banned)) {
    const folder = path.join(base, 'crate', crate);
    const manifest = readFileSync(path.join(folder, 'Cargo.toml'), 'utf8');
    for (const name of names) {
      if (new RegExp(`^${name}[-\\w]*[ .=]`, 'm').test(manifest)) found.push(`crate/${crate} depends on ${name}`);
    }
    if (!readFileSync(path.join(folder, 'src', 'lib.rs'), 'utf8').includes('#![forbid(unsafe_code)]')) {
      found.push(`crate/${crate} does not forbid unsafe code`);
    }
  }
  return found;
}

function importedBy(code) {
  const patterns = [
    /\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*\(?\s*['"]([^'"]+)['"]/g,
    /\brequire\w*\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1]));
}

/** Comments may speak of what code may not name. Quoted text is kept whole, so that a `//` in a URL starts no comment. */
function withoutComments(text) {
  return text.replace(
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, quoted) => quoted ?? '',
  );
}

function listed(base, folder, extension) {
  const full = path.join(base, folder);
  if (!existsSync(full)) return [];
  return readdirSync(full, { recursive: true })
    .map((name) => path.posix.join(folder, name.replaceAll('\\', '/')))
    .filter((name) => name.endsWith(extension))
    .toSorted();
}

if (process.argv[1] === import.meta.filename) {
  const found = violations();
  for (const line of found) console.error(line);
  process.exitCode = found.length === 0 ? 0 : 1;
}
