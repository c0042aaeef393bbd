/** Keeps what a run has said, as a page of the documentation. */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root } from '../run.js';

export function writePage({ command, lines, seconds }) {
  const text = `# Proof of installation

What \`npm pack\` makes is installed into empty projects and used as the documentation says. The last output of
\`${command}\`, which \`${command} --write\` has put here; what it means for you is in [Runtimes](runtimes.md).
${os.type()} on ${os.arch()}, ${os.availableParallelism()} processors, ${new Date().toISOString().slice(0, 10)}, ${seconds} s.

Lines with "known not to work" pass as long as it fails in just that way.

\`\`\`text
${lines.join('\n').trim()}
\`\`\`
`;
  writeFileSync(path.join(root, 'docs', 'installation-proof.md'), text);
}
