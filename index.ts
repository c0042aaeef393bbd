export { connectionFromUrl, ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool } from './facade/pools.ts';
export type { CloseReport, Percentiles, PoolStats, PoolView } from './facade/pools.ts';
export { HTTPConnection, HTTPSConnection } from './facade/connection.ts';
export type { ConnectionOptions, ConnectionRequestOptions } from './facade/connection.ts';
export type { CertificateData, CertReqs, TLSJSON, TLSOptions, TLSVersion } from './facade/tls-options.ts';
export { assertFingerprint } from './facade/certificates.ts';
export type { CertificateInfo } from './facade/certificates.ts';
export type { ConnectionInfo, TLSInfo } from './facade/connection-info.ts';
export { PoolManager } from './facade/manager.ts';
export type { PoolCollection, PoolKwargs, PoolManagerOptions } from './facade/manager.ts';
export { request } from './facade/request.ts';
export type { SimpleOptions } from './facade/request.ts';
export type { RequestMethods, UrlopenOptions } from './facade/requests.ts';
export type { AttemptInfo, BeforeAttempt, Resolve, Resolved, ResolvedAddress } from './facade/asking.ts';
export type { CookieJar } from './facade/cookies.ts';
export type {
  FieldSource,
  FieldValue,
  KeepAlive,
  Limits,
  OnPause,
  PoolOptions,
  Progress,
  RequestOptions,
  SocketOptions,
} from './facade/options.ts';
export type { BodyData, BodyPiece, RequestBody } from './facade/body.ts';
export { configure } from './facade/configure.ts';
export type { Configuration } from './facade/configure.ts';
export type { Planned, Settled } from './facade/request-many.ts';
export type { ManagerJSON, PoolJSON } from './facade/pool-json.ts';
export { disableWarnings } from './facade/warnings.ts';
export type { WarningCategory } from './facade/warnings.ts';
export type {
  ConnectionNotice,
  ObservedRequest,
  RequestEndNotice,
  RequestErrorNotice,
  RequestHeadersNotice,
  RequestStartNotice,
} from './facade/channels.ts';

export { HTTPResponse } from './facade/response.ts';
export type { Head, HTTPResponseInit, Timings } from './facade/response.ts';
export type { Charset } from './facade/charset.ts';

export { HTTPHeaderDict, SKIP_HEADER } from './facade/headers.ts';
export type { HeaderInput, HeaderSource, HeaderValue, HeaderValues } from './facade/headers.ts';

export { guessContentType } from './facade/content-types.ts';
export { RequestField } from './facade/fields.ts';
export type {
  FieldData,
  FormFieldValue,
  FormFields,
  HeaderFormatter,
  MakeMultipartOptions,
  PartHeaders,
  RequestFieldOptions,
} from './facade/fields.ts';
export { chooseBoundary, encodeMultipartFormdata } from './facade/multipart.ts';

export { Timeout } from './facade/timeout.ts';
export type { TimeoutLike, TimeoutOptions } from './facade/timeout.ts';

export { Retry } from './facade/retry.ts';
export type {
  RequestHistory,
  RetriedResponse,
  RetryCount,
  RetryEvent,
  RetryJSON,
  RetryLike,
  RetryOptions,
} from './facade/retry.ts';

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
