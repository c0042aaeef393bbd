/**
 * `node scripts/sbom.js` writes `release/sbom/ferropool.<platform>.cdx.json` for each binary in release/binaries: the
 * crates and C libraries that stand in it, in CycloneDX 1.6. A binary that names its crates itself (cargo-auditable) must
 * name these; with `--require-audit` each has to.
 *
 * The same binary gives the same bytes: there is no date and no random number in it.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { choose } from './licences.js';
import { platforms } from './platforms.js';
import { root } from './run.js';
import { auditData, auditedCrates } from './supply-audit.js';
import { crateFacts, embeddedLibraries, linkedCrates } from './supply-crates.js';

const binaries = path.join(root, 'release', 'binaries');
export const sbomFolder = path.join(root, 'release', 'sbom');

/** The file of a platform's bill of materials. */
export function sbomName({ file }) {
  return file.replace(/\.node$/, '.cdx.json');
}

/** The bill of materials of one binary. `crates` are those of its target, the addon first. */
export function sbomOf(platform, bytes, crates, facts) {
  const [addon, ...others] = crates;
  const components = others.map((one) => crateComponent(one, facts.get(one.key)));
  const libraries = embeddedLibraries(crates, facts);
  const versions = new Map(crates.map((one) => [one.key, purl(one)]));
  const subject = `pkg:npm/${platform.package.replace('@', '%40')}@${addon.version}`;
  versions.set(addon.key, subject);
  const body = {
    version: 1,
    metadata: {
      component: {
        type: 'library',
        'bom-ref': subject,
        name: platform.package,
        version: addon.version,
        description: `ferropool's addon for ${platform.triple}`,
        hashes: [{ alg: 'SHA-256', content: createHash('sha256').update(bytes).digest('hex') }],
        licenses: [{ license: { id: 'MIT' } }],
        purl: subject,
        properties: [{ name: 'cargo:target', value: platform.triple }],
      },
    },
    components: [...components, ...libraries.map(libraryComponent)],
    dependencies: crates.map(({ key, dependsOn }) => ({
      ref: versions.get(key),
      dependsOn: [
        ...dependsOn.map((one) => versions.get(one)),
        ...libraries.filter(({ within }) => within === key).map(libraryRef),
      ],
    })),
  };
  return { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: serial(body), ...body };
}

/**
 * What the binary says of itself against what cargo says of its target, as sentences. It may name more: cargo-auditable
 * takes crates along that a feature would bring if it were on. But all that are linked must be among them, and all that it
 * names must be locked, `locked` being `name@version` of Cargo.lock; else it was built from something else.
 */
export function auditComplaints(platform, bytes, crates, locked, { required = false } = {}) {
  const data = auditData(bytes);
  if (data === null) return required ? [`${platform.file} does not say what it is built from`] : [];
  const said = auditedCrates(data);
  return [
    ...said.filter((key) => !locked.has(key)).map((key) => `${platform.file} names ${key}, which is not locked`),
    ...crates.filter(({ key }) => !said.includes(key)).map(({ key }) => `${platform.file} does not name ${key}`),
  ];
}

/** Writes the bills of all binaries that are there; gives complaints and the platforms that it wrote one for. */
export function writeSboms(options = {}) {
  const facts = crateFacts();
  const locked = new Set(facts.keys());
  mkdirSync(sbomFolder, { recursive: true });
  const written = [];
  const complaints = [];
  for (const platform of platforms) {
    const file = path.join(binaries, platform.file);
    if (!existsSync(file)) continue;
    const bytes = readFileSync(file);
    const crates = linkedCrates(platform.triple);
    complaints.push(...auditComplaints(platform, bytes, crates, locked, options));
    const sbom = sbomOf(platform, bytes, crates, facts);
    writeFileSync(path.join(sbomFolder, sbomName(platform)), `${JSON.stringify(sbom, null, 2)}\n`);
    written.push({ platform, components: sbom.components.length, audited: auditData(bytes) !== null });
  }
  return { written, complaints };
}

function crateComponent({ name, version, key, ...rest }, { license, repository, checksum, ours }) {
  const ref = purl({ name, version, key, ...rest });
  return {
    type: 'library',
    'bom-ref': ref,
    name,
    version,
    scope: 'required',
    ...(checksum === null ? {} : { hashes: [{ alg: 'SHA-256', content: checksum }] }),
    licenses: licenses(license),
    // Ours are in no registry.
    ...(ours ? {} : { purl: ref }),
    ...(repository === null ? {} : { externalReferences: [{ type: 'vcs', url: repository }] }),
  };
}

function libraryComponent(one) {
  return {
    type: 'library',
    'bom-ref': libraryRef(one),
    name: one.name,
    version: one.version,
    scope: 'required',
    licenses: licenses(one.license),
    purl: libraryRef(one),
  };
}

function libraryRef({ name, version }) {
  return `pkg:generic/${name}@${version}`;
}

/** The old "A/B" is no SPDX expression. */
function licenses(expression) {
  if (choose(expression) === null) throw new Error(`"${expression}" is not on the list of licences`);
  if (/^[\w.-]+$/.test(expression)) return [{ license: { id: expression } }];
  return [{ expression: expression.replaceAll(/ ?\/ ?/g, ' OR ') }];
}

function purl({ name, version }) {
  return `pkg:cargo/${name}@${version.replace('+', '%2B')}`;
}

/** A UUID (version 8 of RFC 9562) from what it names. */
function serial(body) {
  const hex = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `urn:uuid:${parts.join('-')}`;
}

if (process.argv[1] === import.meta.filename) {
  const { written, complaints } = writeSboms({ required: process.argv.includes('--require-audit') });
  for (const { platform, components, audited } of written) {
    const said = audited ? 'the binary names them' : 'the binary names none';
    console.log(`release/sbom/${sbomName(platform)}: ${components} components, ${said}`);
  }
  if (written.length === 0) console.log('There is no binary in release/binaries; `npm run build:all` makes them.');
  for (const line of complaints) console.error(line);
  process.exitCode = complaints.length === 0 && written.length > 0 ? 0 : 1;
}
