export { connectionFromUrl, ConnectionPool, HTTPConnectionPool } from './facade/pools.ts';
export type { CloseReport, Percentiles, PoolStats, PoolView, UrlopenOptions } from './facade/pools.ts';
export type {
  FieldSource,
  FieldValue,
  KeepAlive,
  Limits,
  PoolOptions,
  RequestOptions,
  SocketOptions,
} from './facade/options.ts';
export { configure } from './facade/configure.ts';
export type { Configuration } from './facade/configure.ts';
export type { Planned, Settled } from './facade/request-many.ts';

export { HTTPResponse } from './facade/response.ts';
export type { ConnectionInfo, Head, HTTPResponseInit, Timings } from './facade/response.ts';
export type { Charset } from './facade/charset.ts';

export { HTTPHeaderDict, SKIP_HEADER } from './facade/headers.ts';
export type { HeaderInput, HeaderSource, HeaderValue, HeaderValues } from './facade/headers.ts';

export { Timeout } from './facade/timeout.ts';
export type { TimeoutLike, TimeoutOptions } from './facade/timeout.ts';

export { ACCEPT_ENCODING, makeHeaders } from './facade/make-headers.ts';
export type { MakeHeadersOptions } from './facade/make-headers.ts';
export { parseUrl, Url } from './facade/url.ts';

export {
  HTTPError,
  PoolError,
  EmptyPoolError,
  FullPoolError,
  ClosedPoolError,
  RequestError,
  MaxRetryError,
  HostChangedError,
  ReadTimeoutError,
  TimeoutError,
  ConnectTimeoutError,
  NewConnectionError,
  NameResolutionError,
  SSLError,
  ProxyError,
  DecodeError,
  ProtocolError,
  ConnectionError,
  IncompleteRead,
  InvalidChunkLength,
  ResponseError,
  InvalidHeader,
  HeaderParsingError,
  LocationValueError,
  LocationParseError,
  URLSchemeUnknown,
  ProxySchemeUnknown,
  ProxySchemeUnsupported,
  UnrewindableBodyError,
  ResponseNotReady,
  ResponseNotRead,
  ResponseTooLarge,
  AddressDenied,
} from './facade/errors.ts';
export type { Phase, ErrorDetails, ErrorJSON, AnyPool } from './facade/errors.ts';
