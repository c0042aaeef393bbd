/**
 * What the binary and the facade share: where the parts of a record lie, the codes, the phases. Generated from the addon's
 * describe() by `npm run generate`; change crate/binding/layout.rs instead.
 */

export const COMPLETION_CLOSED = 5;
export const COMPLETION_END = 8;
export const COMPLETION_ERROR = 2;
export const COMPLETION_OPENED = 4;
export const COMPLETION_PAUSED = 13;
export const COMPLETION_PIECE = 7;
export const COMPLETION_PRESS = 11;
export const COMPLETION_PROGRESS = 10;
export const COMPLETION_QUESTION = 12;
export const COMPLETION_REPLY = 3;
export const COMPLETION_RESPONSE = 1;
export const COMPLETION_WANT = 9;
export const COMPLETION_WARNING = 6;

export const ERRORS = [
  { className: 'EmptyPoolError', code: 'ERR_POOL_EMPTY', retried: null },
  { className: 'FullPoolError', code: 'ERR_POOL_FULL', retried: null },
  { className: 'ClosedPoolError', code: 'ERR_POOL_CLOSED', retried: null },
  { className: 'MaxRetryError', code: 'ERR_MAX_RETRY', retried: null },
  { className: 'ResponseError', code: 'ERR_MAX_RETRY', retried: null },
  { className: 'HostChangedError', code: 'ERR_HOST_CHANGED', retried: null },
  { className: 'ConnectTimeoutError', code: 'ERR_CONNECT_TIMEOUT', retried: 'connect' },
  { className: 'ReadTimeoutError', code: 'ERR_READ_TIMEOUT', retried: 'read' },
  { className: 'ReadTimeoutError', code: 'ERR_SEND_TIMEOUT', retried: 'read' },
  { className: 'ConnectTimeoutError', code: 'ERR_TOTAL_TIMEOUT', retried: null },
  { className: 'ReadTimeoutError', code: 'ERR_TOTAL_TIMEOUT', retried: null },
  { className: 'NewConnectionError', code: 'ERR_CONNECT', retried: 'connect' },
  { className: 'NameResolutionError', code: 'ERR_DNS', retried: 'connect' },
  { className: 'ProxyError', code: 'ERR_PROXY', retried: 'other' },
  { className: 'ProxySchemeUnknown', code: 'ERR_INVALID_URL', retried: null },
  { className: 'AddressDenied', code: 'ERR_ADDRESS_DENIED', retried: null },
  { className: 'SSLError', code: 'ERR_TLS', retried: 'other' },
  { className: 'ProtocolError', code: 'ERR_PROTOCOL', retried: 'read' },
  { className: 'ProtocolError', code: 'ERR_PROTOCOL', retried: 'connect' },
  { className: 'ProtocolError', code: 'ERR_INCOMPLETE_READ', retried: 'read' },
  { className: 'ProtocolError', code: 'ERR_CHUNK', retried: 'read' },
  { className: 'DecodeError', code: 'ERR_DECODE', retried: null },
  { className: 'ResponseTooLarge', code: 'ERR_TOO_LARGE', retried: null },
  { className: 'InvalidHeader', code: 'ERR_INVALID_HEADER', retried: null },
  { className: 'TypeError', code: 'ERR_INVALID_METHOD', retried: null },
  { className: 'LocationParseError', code: 'ERR_INVALID_URL', retried: null },
  { className: 'LocationValueError', code: 'ERR_INVALID_URL', retried: null },
  { className: 'URLSchemeUnknown', code: 'ERR_INVALID_URL', retried: null },
  { className: 'RangeError', code: 'ERR_INVALID_TIMEOUT', retried: null },
  { className: 'TypeError', code: 'ERR_INVALID_OPTION', retried: null },
  { className: 'RangeError', code: 'ERR_INVALID_OPTION', retried: null },
  { className: 'TypeError', code: 'ERR_INVALID_BODY', retried: null },
  { className: 'ProtocolError', code: 'ERR_INVALID_BODY', retried: null },
  { className: 'UnrewindableBodyError', code: 'ERR_UNREWINDABLE', retried: null },
  { className: 'ProtocolError', code: 'ERR_UNREAD_TIMEOUT', retried: null },
  { className: 'ResponseNotRead', code: 'ERR_NOT_READ', retried: null },
  { className: 'TypeError', code: 'ERR_NOT_SUPPORTED', retried: null },
  { className: 'Error', code: 'ERR_ABORTED', retried: null },
  { className: 'HTTPError', code: 'ERR_INTERNAL', retried: null },
] as const;

export const FLOW_BYTES = 4;
export const FLOW_COUNT = 6;
export const FLOW_FIRST = 8;
export const FLOW_FIXED = 40;
export const FLOW_FLAGS = 5;
export const FLOW_LEAST = 256;
export const FLOW_READ = 512;
export const FLOW_REST = 256;
export const FLOW_SECOND = 9;
export const FLOW_SENT = 2048;
export const FLOW_TOTAL = 8;
export const FLOW_UNASKED = 65536;
export const FLOW_UP = 1024;

export const METHODS = [
  '',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'TRACE',
  'CONNECT',
] as const;

export const NOTICE_FIXED = 32;
export const NOTICE_FLAGS = 5;
export const NOTICE_HAS_PARTIAL = 7;
export const NOTICE_PARTIAL = 6;
export const NOTICE_TEXT = 4;

export const PHASES = [
  'pool',
  'dns',
  'connect',
  'proxy',
  'tls',
  'send',
  'headers',
  'body',
  'total',
] as const;

export const RECORD_GENERATION = 3;
export const RECORD_KIND = 1;
export const RECORD_LENGTH = 0;
export const RECORD_POOL = 4;
export const RECORD_SLOT = 2;

export const REQUEST_ABORTABLE = 16384;
export const REQUEST_ANY_HOST = 2048;
export const REQUEST_ANY_LENGTH = 8192;
export const REQUEST_ASK_COOKIES = 16777216;
export const REQUEST_ASK_GATE = 33554432;
export const REQUEST_ASK_VERDICT = 67108864;
export const REQUEST_BODY = 10;
export const REQUEST_CHUNKED = 1024;
export const REQUEST_CONNECT = 12;
export const REQUEST_DIRECT = 268435456;
export const REQUEST_FIELDS = 9;
export const REQUEST_FIXED = 88;
export const REQUEST_FLAGS = 5;
export const REQUEST_HAS_BODY = 512;
export const REQUEST_HAS_HEADERS = 256;
export const REQUEST_HAS_POOL_TIMEOUT = 65536;
export const REQUEST_HAS_TIMEOUT = 32768;
export const REQUEST_JSON = 131072;
export const REQUEST_LIMITS = 11;
export const REQUEST_LINES = 8;
export const REQUEST_METHOD = 7;
export const REQUEST_PIECES = 2097152;
export const REQUEST_POOL_TIMEOUT = 18;
export const REQUEST_PROGRESS = 4194304;
export const REQUEST_PROXY = 21;
export const REQUEST_RAW = 4096;
export const REQUEST_READ = 14;
export const REQUEST_RETRIES = 20;
export const REQUEST_SKIP = 4294967295;
export const REQUEST_STAY = 8388608;
export const REQUEST_STREAM = 262144;
export const REQUEST_STREAM_ASKS = 1048576;
export const REQUEST_STREAM_WHOLE = 524288;
export const REQUEST_TELLS_SENT = 134217728;
export const REQUEST_TOTAL = 16;
export const REQUEST_URL = 6;

export const RESPONSE_ATTEMPTS = 6;
export const RESPONSE_BODY = 8;
export const RESPONSE_CHUNKED = 1;
export const RESPONSE_CONNECTION = 9;
export const RESPONSE_EXTERNAL = 4;
export const RESPONSE_FIXED = 96;
export const RESPONSE_FLAGS = 5;
export const RESPONSE_HEAD = 7;
export const RESPONSE_NOTES = 11;
export const RESPONSE_REASON = 8;
export const RESPONSE_REUSED = 2;
export const RESPONSE_STATUS = 4;
export const RESPONSE_STREAM = 16;
export const RESPONSE_TIMINGS = 14;
export const RESPONSE_TRAILERS = 10;
export const RESPONSE_WIRE = 12;

export const SUBMISSION_ABORT = 2;
export const SUBMISSION_ANSWER = 15;
export const SUBMISSION_BREAK = 13;
export const SUBMISSION_CLOSE = 4;
export const SUBMISSION_DRAIN = 8;
export const SUBMISSION_FINISH = 12;
export const SUBMISSION_FORGET = 5;
export const SUBMISSION_FORSAKE = 14;
export const SUBMISSION_GRANT = 6;
export const SUBMISSION_PIECE = 11;
export const SUBMISSION_RELEASE = 9;
export const SUBMISSION_REQUEST = 1;
export const SUBMISSION_REST = 7;
export const SUBMISSION_SHUT = 10;
export const SUBMISSION_WARM = 3;

export const VERSION = '0.1.0';
