/**
 * undici's channels, with its messages' shapes, so that what is written for undici sees our calls too: OpenTelemetry's
 * instrumentation listens to these five. One set a call, as on our own channels. A connection is known only when the
 * response is there, so `sendHeaders` comes right before `headers`, and not at all for a call that fails before.
 */
import { channel, type Channel } from 'node:diagnostics_channel';

import type { HTTPHeaderDict } from './headers.ts';
import type { HTTPResponse } from './response.ts';
import { withoutCredentials, type CallEnd, type Follower, type Seen } from './seen.ts';

/** undici's request, as far as its channels' listeners know it. */
interface UndiciRequest {
  readonly origin: string;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: string[];
  completed: boolean;
  addHeader(name: string, value: string): void;
}

const created: Channel = channel('undici:request:create');
const sent: Channel = channel('undici:client:sendHeaders');
const headed: Channel = channel('undici:request:headers');
const ended: Channel = channel('undici:request:trailers');
const failed: Channel = channel('undici:request:error');

/** @internal */
export function isUndiciHeard(): boolean {
  return [created, sent, headed, ended, failed].some((one) => one.hasSubscribers);
}

/** A call's messages. The first is published when it is made. @internal */
export class UndiciEvents implements Follower {
  readonly #request: UndiciRequest;

  /** `null` for a URL that `URL` cannot parse (a zone id, say): listeners would fail of it, and the process with them. */
  static of(seen: Seen): UndiciEvents | null {
    return URL.canParse(seen.url) ? new UndiciEvents(seen) : null;
  }

  private constructor(seen: Seen) {
    const { method, url } = seen;
    const [, origin = '', rest = ''] = /^([^:]+:\/\/[^/?#]*)([^#]*)/.exec(url) ?? [];
    const headers = flat(seen.headers);
    this.#request = {
      origin,
      method,
      path: rest.startsWith('/') ? rest : `/${rest}`,
      headers,
      completed: false,
      addHeader: (name, value) => {
        seen.addHeader(name, value);
        headers.splice(0, headers.length, ...flat(seen.headers));
      },
    };
    created.publish({ request: this.#request });
  }

  head(response: HTTPResponse): void {
    const request = this.#request;
    if (sent.hasSubscribers) {
      const { remoteAddress, remotePort, localAddress, localPort } = response.connection ?? {};
      const socket = { remoteAddress, remotePort, localAddress, localPort };
      const lines = request.headers.map((text, at) => (at % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('');
      sent.publish({ request, headers: `${request.method} ${request.path} HTTP/1.1\r\n${lines}`, socket });
    }
    if (headed.hasSubscribers) {
      const headers = flat(withoutCredentials(response.headers)).map(latin1);
      headed.publish({
        request,
        response: { statusCode: response.status, statusText: response.reason ?? '', headers },
      });
    }
  }

  end({ trailers }: CallEnd): void {
    this.#request.completed = true;
    ended.publish({ request: this.#request, trailers: trailers.map(latin1) });
  }

  error(error: unknown): void {
    failed.publish({ request: this.#request, error });
  }
}

/** Lines that are left out are no lines. */
function flat(headers: HTTPHeaderDict): string[] {
  return [...headers].flat().filter((text) => typeof text === 'string');
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
