/** What is wrong with a workflow of GitHub's. What it may do stands in lists; whatever is on none is complained of. */
import { load } from 'js-yaml';

export interface Step {
  id?: string;
  name?: string;
  uses?: string;
  run?: string;
  shell?: string;
  if?: unknown;
  env?: Record<string, unknown>;
  with?: Record<string, unknown>;
}
export interface Job {
  permissions?: Rights;
  environment?: string;
  needs?: string | string[];
  if?: unknown;
  outputs?: Record<string, string>;
  uses?: string;
  with?: Record<string, unknown>;
  container?: unknown;
  services?: unknown;
  'timeout-minutes'?: number;
  steps?: Step[];
  strategy?: { matrix: { include?: { platform: string }[] } };
}
export interface Workflow {
  permissions?: Rights;
  on: string | string[] | Record<string, unknown>;
  jobs: Record<string, Job>;
}
type Rights = string | Record<string, string>;

/** Where a job may do more than read the repository: its name, and all that it may. */
export type JobRights = Record<string, Record<string, string>>;

const READ = { contents: 'read' };

/** What starts a workflow with the rights of the repository, because of what a stranger did. */
const BY_STRANGERS = new Set([
  'pull_request_target',
  'workflow_run',
  'issue_comment',
  'issues',
  'discussion',
  'repository_dispatch',
]);

/** A hash of a commit, in an action's or a workflow's address. */
const PINNED = /^[\w-]+(\/[\w.-]+)+@[0-9a-f]{40}$/;
const OWN_WORKFLOW = /^\.\/\.github\/workflows\/[\w-]+\.yml$/;

/** The calls of npm that take nothing but what is locked, and run no script of a package. */
const NPM = /^npm (ci --ignore-scripts|run [\w:]+( -- [\w\s"$-]*)?|test)$/;

/** Expressions that no stranger has a hand in. */
const OURS = /^\s*(matrix\.\w+|github\.token|(steps|needs)\.\w+\.outputs\.\w+)\s*$/;

/** What is wrong with a workflow, as sentences. */
export function workflowComplaints(text: string, rights: JobRights = {}): string[] {
  const workflow = load(text) as Workflow;
  const on = typeof workflow.on === 'string' ? [workflow.on] : workflow.on;
  const events = Array.isArray(on) ? on : Object.keys(on);
  // Of the parsed file: what a comment says does nothing.
  const said = JSON.stringify(workflow);
  return [
    ...(same(workflow.permissions, READ) ? [] : ['it may more than read']),
    ...events.filter((event) => BY_STRANGERS.has(event)).map(() => 'it runs for strangers with our rights'),
    ...(/\bsecrets\b/i.test(said) ? ['it has a secret'] : []),
    ...(said.includes('"continue-on-error"') ? ['it goes on after an error'] : []),
    ...Object.entries(workflow.jobs).flatMap(([name, job]) =>
      jobComplaints(job, rights[name]).map((line) => `${name} ${line}`),
    ),
  ];
}

function jobComplaints(job: Job, more: Record<string, string> | undefined): string[] {
  const found: string[] = [];
  const publishes = job.steps?.some(({ run }) => run?.includes('release-publish.js')) ?? false;
  if (job.uses === undefined && job['timeout-minutes'] === undefined) found.push('may run for hours');
  if (job.uses !== undefined && !OWN_WORKFLOW.test(job.uses) && !PINNED.test(job.uses)) {
    found.push(`calls ${job.uses}, which is not pinned`);
  }
  if (job.container !== undefined || job.services !== undefined) found.push('runs in an image');
  if (job.permissions !== undefined && !same(job.permissions, READ) && !same(job.permissions, more ?? READ)) {
    found.push(`may do what is on no list: ${JSON.stringify(job.permissions)}`);
  }
  if (publishes && job.environment === undefined) found.push('publishes unasked');
  if (publishes && /always|failure|cancelled/.test(JSON.stringify(job.if ?? '')))
    found.push('publishes after a failure');
  return [...found, ...(job.steps ?? []).flatMap((step) => stepComplaints(step))];
}

function stepComplaints({ uses, run, shell, with: options = {} }: Step): string[] {
  const found: string[] = [];
  if (uses !== undefined && !PINNED.test(uses)) found.push(`uses ${uses}, which is not pinned`);
  if (uses?.startsWith('actions/checkout@') && options['persist-credentials'] !== false) {
    found.push('leaves its token in the working tree');
  }
  const foreign = Object.entries(options).some(
    ([key, value]) =>
      key === 'script' ||
      [...String(value).matchAll(/\$\{\{(.*?)\}\}/gs)].some(([, expression = '']) => !OURS.test(expression)),
  );
  if (foreign || run?.includes('${{') || shell?.includes('{')) found.push('puts words of others into a script');
  return [...found, ...(run === undefined ? [] : scriptComplaints(run))];
}

function scriptComplaints(run: string): string[] {
  const commands = run
    .split(/\n|&&|\|\||;|\$\(|`/)
    .map((command) => command.trim())
    .filter((command) => command !== '');
  const calls = commands.flatMap((command) => /\bnpm\b.*/.exec(command)?.[0] ?? []);
  return [
    ...calls.filter((call) => !NPM.test(call)).map((call) => `calls \`${call}\``),
    ...[...run.matchAll(/\b(npx|pnpx|bunx|pnpm|yarn|curl|wget|eval)\b|\|\s*(ba|z)?sh\b/g)].map(
      ([call]) => `runs what nothing pins: ${call}`,
    ),
    ...commands
      .filter((command) => /\bcargo install\b(?!.* --locked [\w-]+@\d)|\b(pip3?|go) (install|run)\b/.test(command))
      .map((command) => `installs what nothing pins: ${command}`),
    ...(/GITHUB_(ENV|PATH)\b/.test(run) ? ['changes what later steps run in'] : []),
  ];
}

function same(one: unknown, other: unknown): boolean {
  const sorted = (value: unknown): string =>
    typeof value === 'object' && value !== null
      ? JSON.stringify(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : JSON.stringify(value);
  return sorted(one) === sorted(other);
}
