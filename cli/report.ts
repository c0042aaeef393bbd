/** One answer as a person reads it. Pure. */
import type { CertificateInfo, ConnectionInfo } from 'ferropool';
import { daysLeft, isReference, valueOf, withoutUser, type Answer, type Result } from './answer.ts';
import { count, line, many, padded, wholeLine, type Line, type Span, type Style, type View } from './text.ts';
import { waterfall } from './waterfall.ts';

/** What a report is to show. */
export interface Shown {
  /** Every header whole, and the values of cookies. */
  readonly verbose: boolean;
  readonly now: number;
}

/** The lines about one answer. */
export function reportLines({ method, url, answer }: Result, shown: Shown, view: View): Line[] {
  const lines = [wholeLine([method, 'strong'], ` ${withoutUser(url)}`)];
  if (answer === null) return lines;
  const earlier = answer.history.length > 0 || answer.attempts > 1;
  return [
    ...lines,
    line(...statusSpans(answer, method === 'HEAD')),
    line(),
    ...waterfall(answer.timings, answer.connection, earlier, view),
    line(),
    ...past(answer),
    ...connectionLines(answer.connection, answer.timings.connect, shown.now),
    ...bodyLines(answer),
    ...answer.defects.map((defect) => fact('defect', [defect, 'warned'])),
    ...headerLines(answer, shown),
    ...answer.trailers.map(([name, value]) => fact('trailer', [`${name}: `, 'faint'], value)),
  ];
}

/** The style of a status. */
export function styleOf(status: number): Style {
  return status < 300 ? 'good' : status < 400 ? 'moved' : status < 500 ? 'warned' : 'bad';
}

function statusSpans({ status, reason, version, headers, body }: Answer, bodiless: boolean): Span[] {
  const type = headers.find(([name]) => name === 'content-type')?.[1];
  const said = reason === null || reason === '' ? '' : ` ${reason}`;
  const spans: Span[] = [[`${status}${said}`, styleOf(status)], `  ${version}`];
  if (!bodiless) spans.push(`  ${many(body.decodedBytes, 'byte')}`);
  if (type !== undefined) spans.push(`${bodiless ? '  ' : ' of '}${type}`);
  return spans;
}

function past({ history, url }: Answer): Line[] {
  const lines = history.map(({ status, error, redirectLocation }) => {
    const code = (error as { code?: string } | null)?.code ?? error?.name;
    if (redirectLocation !== null) {
      return wholeFact('redirect', [String(status ?? ''), 'moved'], ` to ${withoutUser(redirectLocation)}`);
    }
    return fact('retry', [status === null ? (code ?? 'an error') : String(status), 'warned']);
  });
  if (history.some(({ redirectLocation }) => redirectLocation !== null))
    lines.push(wholeFact('final url', withoutUser(url)));
  return lines;
}

function connectionLines(connection: ConnectionInfo | null, connected: number | null, now: number): Line[] {
  if (connection === null) return [];
  const { remoteAddress, remotePort, localAddress, localPort, reused, proxy, tls } = connection;
  // A pool opens a connection for one request and may give it to another that waits.
  const how = reused ? 'reused' : connected === null ? 'new, opened before' : 'new';
  const lines = [
    fact('connection', `${how}, ${place(localAddress, localPort)} to ${place(remoteAddress, remotePort)}`),
  ];
  if (proxy !== null) lines.push(fact('proxy', proxy));
  if (tls === null) return lines;
  const { version, cipher, verified, resumed, serverName, chain } = tls;
  const name = serverName === null ? '' : ` as ${serverName}`;
  lines.push(
    fact('tls', `${version}, ${cipher}, ${resumed ? 'session resumed, ' : ''}`, [
      verified ? `verified${name}` : 'not verified',
      verified ? 'good' : 'bad',
    ]),
    ...chain.flatMap((certificate, depth) => certificateLines(certificate, depth, now)),
  );
  return lines;
}

function place(address: string, port: number): string {
  if (address === '') return 'an unnamed socket';
  return port === 0 ? address : `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function certificateLines(
  { subject, issuer, validFrom, validTo }: CertificateInfo,
  depth: number,
  now: number,
): Line[] {
  const left = daysLeft(validTo, now);
  const style: Style = left === null || left < 0 ? 'bad' : left < SOON ? 'warned' : 'plain';
  const remains = left === null ? 'its dates cannot be read' : left < 0 ? 'expired' : `${many(left, 'day')} left`;
  const [from, to] = [validFrom, validTo].map((date) => date.toJSON()?.slice(0, 10) ?? '?');
  return [
    fact(depth === 0 ? 'certificate' : '', subject || '(no name)', issuer === subject ? ', issued by itself' : ''),
    ...(issuer === subject ? [] : [fact('', ['issued by ', 'faint'], issuer || '(no name)')]),
    fact('', ['valid ', 'faint'], `${from} to ${to}, `, [remains, style]),
  ];
}

function bodyLines({ body }: Answer): Line[] {
  const { wireBytes, decodedBytes, coding, decoded, charset, savedTo } = body;
  const lines: Line[] = [];
  if (coding !== null && decoded && wireBytes > 0) {
    const ratio = (decodedBytes / wireBytes).toFixed(1);
    lines.push(
      fact('coding', `${coding}: ${count(wireBytes)} to ${many(decodedBytes, 'byte')}, `, [`${ratio} to 1`, 'strong']),
    );
  } else if (coding !== null && wireBytes > 0) lines.push(fact('coding', `${coding}, not undone`));
  if (charset !== null) lines.push(fact('charset', `${charset.name}, ${FROM[charset.from]}`));
  if (savedTo !== null) lines.push(wholeFact('saved to', savedTo));
  return lines;
}

const FROM = {
  bom: 'by its byte order mark',
  header: 'by Content-Type',
  meta: 'by an HTML meta element',
  default: 'as nothing names one',
};

/** What is worth knowing at a glance. */
const IMPORTANT = [
  'server',
  'location',
  'retry-after',
  'www-authenticate',
  'proxy-authenticate',
  'cache-control',
  'age',
  'etag',
  'last-modified',
  'vary',
  'via',
  'allow',
  'link',
  'strict-transport-security',
  'alt-svc',
  'server-timing',
];

function headerLines(answer: Answer, { verbose }: Shown): Line[] {
  const shown = (name: string, value: string): string => (isReference(name) ? withoutUser(value) : value);
  if (verbose) {
    return answer.headers.map(([name, value]) => wholeFact('header', [`${name}: `, 'faint'], shown(name, value)));
  }
  const lines = IMPORTANT.flatMap((name) => {
    const value = valueOf(answer, name);
    return value === null ? [] : [fact(name, shown(name, value))];
  });
  const cookies = answer.headers
    .filter(([name]) => name === 'set-cookie')
    .map(([, value]) => value.split('=', 1)[0] ?? '');
  return cookies.length === 0 ? lines : [...lines, fact('set-cookie', cookies.join(', '))];
}

function fact(name: string, ...spans: Span[]): Line {
  return line(...named(name), ...spans);
}

function wholeFact(name: string, ...spans: Span[]): Line {
  return wholeLine(...named(name), ...spans);
}

/** Names longer than the column push what follows to the right. */
function named(name: string): Span[] {
  return ['  ', [name.length > NAME ? name : padded(name, NAME), 'faint'], '  '];
}

const NAME = 11;
/** Days that should make somebody look. */
const SOON = 14;
