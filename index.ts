// What the package exports, in the order of a first reading. A comment before an export begins a group: its name, a colon, what
// it has. index.d.ts and the reference (docs/reference) are arranged by them.

// Pools: the connections to one host, kept and reused.
export { HTTPConnectionPool, HTTPSConnectionPool, connectionFromUrl, ConnectionPool } from './facade/pools.ts';
export type { RequestMethods } from './facade/requests.ts';
export type {
  PoolOptions,
  Limits,
  SocketOptions,
  KeepAlive,
  LocalAddress,
  OnPause,
  PauseReason,
} from './facade/options.ts';
export type { Resolve, Resolved, ResolvedAddress } from './facade/asking.ts';
export type { CloseOptions, CloseReport, OptionsFor, PoolFor, PoolView } from './facade/pools.ts';

// Managers: many hosts through one object, and one request without any.
export { PoolManager } from './facade/manager.ts';
export type { PoolManagerOptions, PoolKwargs, HostOptions, HostContext, PoolCollection } from './facade/manager.ts';
export { request } from './facade/request.ts';
export type { SimpleOptions } from './facade/request.ts';
export type { CookieJar } from './facade/cookies.ts';
export type { AttemptInfo, BeforeAttempt } from './facade/asking.ts';

// Proxies: connections that lead through another server.
export { proxyFromEnv } from './facade/proxy-environment.ts';
export { ProxyManager, proxyFromUrl, SOCKSProxyManager } from './facade/proxy-manager.ts';
export type { ProxyManagerOptions, SOCKSProxyManagerOptions } from './facade/proxy-manager.ts';
export type { ProxyConfig } from './facade/proxy-options.ts';

// Requests: what may be sent, one at a time or many.
export type { RequestOptions, ManagerRequestOptions, Progress } from './facade/options.ts';
export type { UrlopenOptions } from './facade/requests.ts';
export type {
  Method,
  Together,
  Excluded,
  NotTogether,
  FieldsGo,
  IsFlat,
  Fits,
  Looked,
  FieldsFor,
  NoSuchField,
  Has,
  Present,
} from './facade/together.ts';
export type { RequestBody, BodyData, BodyPiece } from './facade/body.ts';
export type { ManyOptions, Planned, PlannedRequest, Settled, Answered, Failed } from './facade/request-many.ts';

// Forms: fields in a query or in a body, and files.
export type { FieldSource, FieldValue } from './facade/options.ts';
export type { FieldData, FormFields, FormFieldValue } from './facade/fields.ts';
export { RequestField } from './facade/fields.ts';
export type { HeaderFormatter, MakeMultipartOptions, PartHeaders, RequestFieldOptions } from './facade/fields.ts';
export { chooseBoundary, encodeMultipartFormdata } from './facade/multipart.ts';
export { guessContentType } from './facade/content-types.ts';

// Responses: the head, the body at once or in pieces, and where it came from.
export { HTTPResponse } from './facade/response.ts';
export type { Head, HTTPResponseInit, Timings } from './facade/response.ts';
export type { Charset } from './facade/charset.ts';
export type { ConnectionInfo, TLSInfo, TriedAddress } from './facade/connection-info.ts';
export type { CertificateInfo } from './facade/certificates.ts';

// Headers: names without case, values with their order.
export { HTTPHeaderDict, SKIP_HEADER } from './facade/headers.ts';
export type { HeaderDict, HeaderInput, HeaderSource, HeadersFor, HeaderValue, HeaderValues } from './facade/headers.ts';
export type { HTTPHeaderDictConstructor } from './facade/headers.ts';
export { ACCEPT_ENCODING, makeHeaders } from './facade/make-headers.ts';
export type { CredentialsEncoding, MakeHeadersOptions } from './facade/make-headers.ts';

// Time-outs: how long a request may take.
export { Timeout } from './facade/timeout.ts';
export type { TimeoutOptions, TimeoutLike, TimeoutJSON } from './facade/timeout.ts';

// Retries: what is tried again, how often, and after how long; redirects too.
export { Retry } from './facade/retry.ts';
export type {
  RetryOptions,
  RetryCount,
  RetryLike,
  RequestHistory,
  RetryEvent,
  RetriedResponse,
  RetryJSON,
} from './facade/retry.ts';

// TLS: whom to trust, and who we are.
export type { TLSOptions, CertReqs, CertificateData, TLSVersion, TLSJSON } from './facade/tls-options.ts';
export { assertFingerprint } from './facade/certificates.ts';

// One connection: outside any pool.
export { HTTPConnection, HTTPSConnection } from './facade/connection.ts';
export type { ConnectionOptions, ConnectionRequestOptions } from './facade/connection.ts';

// Errors: everything that goes wrong with a request.
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
export type { ErrorCode } from './facade/error-codes.ts';
export type { Phase, ErrorDetails, ErrorJSON, AnyPool } from './facade/errors.ts';

// Watching: figures, notices, warnings, and settings of the whole thread.
export type { Percentiles, PoolStats } from './facade/pools.ts';
export type { ManagerJSON, PoolJSON, SettingsJSON } from './facade/pool-json.ts';
export { configure } from './facade/configure.ts';
export type { Configuration } from './facade/configure.ts';
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

// URLs: taken apart as urllib3 does.
export { parseUrl, Url } from './facade/url.ts';
export type { UrlParts } from './facade/url.ts';
