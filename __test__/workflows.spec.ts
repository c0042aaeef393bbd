/** The workflows: what they may, what they run, and that a release goes through each gate. Each rule finds a sample that breaks it. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { load } from 'js-yaml';
import { platforms } from '../scripts/platforms.js';
import { root } from '../scripts/run.js';
import { workflowComplaints, type JobRights, type Workflow } from './support/workflows.ts';

const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8');
const files = readdirSync(path.join(root, '.github', 'workflows'));
const release = load(read('.github', 'workflows', 'release.yml')) as Workflow;

/** The jobs that may do more than read. */
const RIGHTS: Record<string, JobRights> = {
  'release.yml': {
    publish: { contents: 'read', 'id-token': 'write', attestations: 'write' },
    announce: { contents: 'write' },
  },
};

test('THR-1306, THR-1310: workflows are pinned, may little, hold no secret, and one job alone can publish', (t) => {
  t.true(files.includes('release.yml') && files.includes('advisories.yml') && files.includes('ci.yml'));
  for (const name of files) {
    t.deepEqual(workflowComplaints(read('.github', 'workflows', name), RIGHTS[name]), [], name);
  }
  const publishing = Object.entries(release.jobs).filter(([, { steps }]) =>
    steps?.some(({ run }) => run?.includes('release-publish.js')),
  );
  t.deepEqual(
    publishing.map(([name]) => name),
    ['publish'],
  );
});

const head = 'permissions: { contents: read }\non: { push: {} }';
const workflow = (job: string, top = head): string =>
  `${top}\njobs:\n  a:\n    timeout-minutes: 5\n${job.replaceAll(/^/gm, '    ')}\n`;
const runs = (command: string): string => workflow(`steps: [{ run: ${JSON.stringify(command)} }]`);
const sha = 'a'.repeat(40);
const bad: [title: string, text: string, ...says: string[]][] = [
  [
    'an action by its tag',
    workflow('steps: [{ uses: actions/setup-node@v6 }]'),
    'a uses actions/setup-node@v6, which is not pinned',
  ],
  ['an action by a short hash', workflow('steps: [{ uses: a/b@abcdef1 }]'), 'a uses a/b@abcdef1, which is not pinned'],
  ['an image', workflow('steps: [{ uses: "docker://a:1" }]'), 'a uses docker://a:1, which is not pinned'],
  ['a job in an image', workflow('container: node:24\nsteps: []'), 'a runs in an image'],
  [
    'a workflow of others by its branch',
    `${head}\njobs: { a: { uses: a/b/.github/workflows/c.yml@main } }`,
    'a calls a/b/.github/workflows/c.yml@main, which is not pinned',
  ],
  [
    'secrets for another workflow',
    `${head}\njobs: { a: { uses: a/b/.github/workflows/c.yml@${sha}, secrets: inherit } }`,
    'it has a secret',
  ],
  ['a token of npm', workflow('env: { T: "${{ secrets.NPM_TOKEN }}" }\nsteps: []'), 'it has a secret'],
  ['a token in brackets', workflow('env: { T: "${{ secrets[\'NPM_TOKEN\'] }}" }\nsteps: []'), 'it has a secret'],
  ['a token in capitals', workflow('env: { T: "${{ SECRETS.NPM_TOKEN }}" }\nsteps: []'), 'it has a secret'],
  ['all tokens', workflow('env: { T: "${{ toJSON(secrets) }}" }\nsteps: []'), 'it has a secret'],
  ['rights for all', workflow('steps: []', 'permissions: write-all\non: { push: {} }'), 'it may more than read'],
  ['no word of rights', workflow('steps: []', 'on: { push: {} }'), 'it may more than read'],
  [
    'an identity elsewhere',
    workflow('permissions: { id-token: write }\nsteps: []'),
    'a may do what is on no list: {"id-token":"write"}',
  ],
  [
    'rights that its list has not',
    workflow('permissions: { contents: write, packages: write }\nsteps: []'),
    'a may do what is on no list: {"contents":"write","packages":"write"}',
  ],
  ['all rights for a job', workflow('permissions: write-all\nsteps: []'), 'a may do what is on no list: "write-all"'],
  [
    'rights for strangers',
    workflow('steps: []', 'permissions: { contents: read }\non: { pull_request_target: {} }'),
    'it runs for strangers with our rights',
  ],
  [
    'rights for strangers, in a list',
    workflow('steps: []', 'permissions: { contents: read }\non: [push, workflow_run]'),
    'it runs for strangers with our rights',
  ],
  ['publishing unasked', runs('node scripts/release-publish.js'), 'a publishes unasked'],
  [
    'publishing after a failure',
    workflow('environment: npm\nif: always()\nsteps: [{ run: node scripts/release-publish.js }]'),
    'a publishes after a failure',
  ],
  ['an error that does not count', workflow('continue-on-error: true\nsteps: []'), 'it goes on after an error'],
  [
    'a token that stays',
    workflow(`steps: [{ uses: actions/checkout@${sha} }]`),
    'a leaves its token in the working tree',
  ],
  ['words of others', runs('echo ${{ github.head_ref }}'), 'a puts words of others into a script'],
  [
    'words of others in a script of an action',
    workflow(`steps: [{ uses: a/b@${sha}, with: { script: "f('\${{ github.event.issue.title }}')" } }]`),
    'a puts words of others into a script',
  ],
  [
    'words of others in what an action is told',
    workflow(`steps: [{ uses: a/b@${sha}, with: { args: "\${{ github.event.issue.title }}" } }]`),
    'a puts words of others into a script',
  ],
  ['scripts of packages', runs('npm ci'), 'a calls `npm ci`'],
  ['a package of today', runs('npm i --ignore-scripts left-pad'), 'a calls `npm i --ignore-scripts left-pad`'],
  ['npm publish', runs('cd x && npm publish --access public'), 'a calls `npm publish --access public`'],
  ['npm exec', runs('npm exec left-pad'), 'a calls `npm exec left-pad`'],
  ['npx', runs('npx left-pad'), 'a runs what nothing pins: npx'],
  [
    'curl into a shell',
    runs('curl -sSf https://127.0.0.1/x | sh'),
    'a runs what nothing pins: curl',
    'a runs what nothing pins: | sh',
  ],
  [
    'a tool of today',
    runs('cargo install --locked cargo-deny'),
    'a installs what nothing pins: cargo install --locked cargo-deny',
  ],
  ['a tool of Python', runs('pip install x'), 'a installs what nothing pins: pip install x'],
  ['another environment', runs('echo "NODE_OPTIONS=x" >> "$GITHUB_ENV"'), 'a changes what later steps run in'],
  ['no end', workflow('steps: []').replace('timeout-minutes: 5', 'name: a'), 'a may run for hours'],
];
for (const [title, text, ...says] of bad) {
  test(`THR-1310: a workflow with ${title} is found`, (t) => {
    t.deepEqual(workflowComplaints(text), says);
  });
}

test('THR-1310: a job may what its list says, and no less is asked for than all of it', (t) => {
  const text = workflow('permissions: { contents: write }\nsteps: []');
  t.deepEqual(workflowComplaints(text, { a: { contents: 'write' } }), []);
  t.not(workflowComplaints(text, { a: { contents: 'write', 'id-token': 'write' } }).length, 0);
  t.not(workflowComplaints(text, { b: { contents: 'write' } }).length, 0);
});

test('THR-1306: nothing is published but what the tests of its own commit have passed on each platform', (t) => {
  const { ci, package: packing, publish, announce } = release.jobs;
  t.is(ci?.uses, './.github/workflows/ci.yml');
  t.true('workflow_call' in (load(read('.github', 'workflows', 'ci.yml')) as { on: object }).on);
  t.is(ci?.if, undefined);
  t.deepEqual(publish?.needs, ['ci', 'package', 'smoke', 'smoke-musl']);
  t.is(publish?.if, "github.ref_type == 'tag'");
  t.deepEqual(announce?.needs, ['package', 'publish']);
  t.is(packing?.needs, 'build');
});

test('THR-1308: what is tested, built and built again is made by one version of Rust', (t) => {
  const { ci } = release.jobs;
  const version = (load(read('.github', 'workflows', 'release.yml')) as { env: Record<string, string> }).env[
    'RUSTUP_TOOLCHAIN'
  ];
  // What a workflow has in `env` is not there in one that it calls.
  t.is(ci?.with?.['rust'], version);
  t.true(read('docs', 'releasing.md').includes(`RUSTUP_TOOLCHAIN=${version} npm run build:all`));
});

test('what is announced can be announced again, and a pre-release as what it is', (t) => {
  const said = release.jobs['announce']?.steps?.at(-1)?.run ?? '';
  t.regex(said, /if ! gh release view/);
  t.regex(said, /== \*-\* \]\]; then options\+=\(--prerelease\)/);
  t.regex(said, /gh release upload "\$GITHUB_REF_NAME" --clobber/);
});

test('THR-1306: what is signed and published is compared with what another job has written down before', (t) => {
  const { build, package: packing, publish, announce } = release.jobs;
  const uploads = build?.steps?.filter(({ uses }) => uses?.startsWith('actions/upload-artifact@')) ?? [];
  t.deepEqual(
    uploads.map(({ with: options }) => options?.['path']),
    ['release/binaries/ferropool.${{ matrix.platform }}.node'],
  );
  t.true(packing?.steps?.some(({ run }) => run?.includes('node scripts/release-gather.js')));
  t.deepEqual(packing?.outputs, { sha256: '${{ steps.record.outputs.sha256 }}' });
  const record = packing?.steps?.findIndex(({ id }) => id === 'record') ?? -1;
  t.true(packing?.steps?.[record - 1]?.run?.includes('release:dry'));
  t.regex(packing?.steps?.[record]?.run ?? '', /sha256sum release\/release\.json .*>>"\$GITHUB_OUTPUT"$/);
  for (const job of [publish, announce]) {
    const steps = job?.steps ?? [];
    const compared = steps.findIndex(({ run }) => run === 'node scripts/release-record.js');
    const got = steps.findIndex(({ uses }) => uses?.startsWith('actions/download-artifact@'));
    const first = steps.findIndex(
      ({ uses, run }) => uses?.startsWith('actions/attest@') || /publish|gh release/.test(run ?? ''),
    );
    t.true(got !== -1 && got < compared && compared < first);
    t.is(steps[compared]?.env?.['RELEASE_SHA256'], '${{ needs.package.outputs.sha256 }}');
  }
});

test('THR-1308: the release workflow builds and signs every platform of the list', (t) => {
  const names = platforms.map(({ name }) => name);
  t.deepEqual(
    release.jobs['build']?.strategy?.matrix.include?.map(({ platform }) => platform),
    names,
  );
  const signed = release.jobs['publish']?.steps?.flatMap(({ with: options }) => options?.['sbom-path'] ?? []);
  t.deepEqual(
    signed,
    names.map((name) => `release/sbom/ferropool.${name}.cdx.json`),
  );
});
