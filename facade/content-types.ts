/**
 * Which media type a file name suggests. The table is built in and fixed: the same name gives the same type on every
 * machine, and no file of the system is read. Its rules and most of its entries are those of Python 3.11's `mimetypes`;
 * a file's content is never looked at.
 */
import { argumentError, describe } from './arguments.ts';

/**
 * Guesses a media type from the extension of a file name: `image/jpeg` for `photo.JPG`. A compression's extension is
 * passed over, so `a.tar.gz` is `application/x-tar`, and `a.gz` alone is not known. urllib3's `guess_content_type`.
 *
 * @param filename A name or a path; without one there is nothing to guess from.
 * @param fallback For what is not known. Default `application/octet-stream`.
 * @throws TypeError ERR_INVALID_OPTION for what is no string.
 */
export function guessContentType(filename: string | null | undefined, fallback = 'application/octet-stream'): string {
  if (filename == null) return fallback;
  if (typeof filename !== 'string') {
    throw argumentError('type', 'ERR_INVALID_OPTION', `a file name is a string, not ${describe(filename)}`);
  }
  let [base, extension] = split(filename);
  const long = SHORTHANDS.get(extension.toLowerCase());
  if (long !== undefined) [base, extension] = split(base + long);
  // Case matters here and nowhere else: `.Z` is a compression, `.z` is not.
  if (COMPRESSIONS.has(extension)) [base, extension] = split(base);
  return TYPES.get(extension.toLowerCase()) ?? fallback;
}

/** A name without its extension, and the extension with its dot. The dots that a name begins with start none. */
function split(name: string): [base: string, extension: string] {
  const start = name.lastIndexOf('/') + 1;
  const dot = name.lastIndexOf('.');
  for (let at = start; at < dot; at += 1) {
    if (name[at] !== '.') return [name.slice(0, dot), name.slice(dot)];
  }
  return [name, ''];
}

const COMPRESSIONS: ReadonlySet<string> = new Set(['.gz', '.Z', '.bz2', '.xz', '.br']);

const SHORTHANDS: ReadonlyMap<string, string> = new Map([
  ['.svgz', '.svg.gz'],
  ['.tgz', '.tar.gz'],
  ['.taz', '.tar.gz'],
  ['.tz', '.tar.gz'],
  ['.tbz2', '.tar.bz2'],
  ['.txz', '.tar.xz'],
]);

const OPEN_XML = 'application/vnd.openxmlformats-officedocument';
const OPEN_DOCUMENT = 'application/vnd.oasis.opendocument';

/** Types and their extensions. */
const TABLE: readonly (readonly [type: string, extensions: string])[] = [
  ['application/atom+xml', 'atom'],
  ['application/epub+zip', 'epub'],
  ['application/geo+json', 'geojson'],
  ['application/java-archive', 'jar'],
  ['application/json', 'json'],
  ['application/ld+json', 'jsonld'],
  ['application/manifest+json', 'webmanifest'],
  ['application/msword', 'doc dot wiz'],
  ['application/n-quads', 'nq'],
  ['application/n-triples', 'nt'],
  ['application/octet-stream', 'bin a dll o obj so'],
  ['application/oda', 'oda'],
  ['application/pdf', 'pdf'],
  ['application/pkcs7-mime', 'p7c'],
  ['application/postscript', 'ps ai eps'],
  ['application/rtf', 'rtf'],
  ['application/sql', 'sql'],
  ['application/toml', 'toml'],
  ['application/trig', 'trig'],
  ['application/vnd.android.package-archive', 'apk'],
  ['application/vnd.apple.mpegurl', 'm3u m3u8'],
  ['application/vnd.debian.binary-package', 'deb'],
  ['application/vnd.ms-excel', 'xls xlb'],
  ['application/vnd.ms-fontobject', 'eot'],
  ['application/vnd.ms-powerpoint', 'ppt pot ppa pps pwz'],
  [`${OPEN_DOCUMENT}.graphics`, 'odg'],
  [`${OPEN_DOCUMENT}.presentation`, 'odp'],
  [`${OPEN_DOCUMENT}.spreadsheet`, 'ods'],
  [`${OPEN_DOCUMENT}.text`, 'odt'],
  [`${OPEN_XML}.presentationml.presentation`, 'pptx'],
  [`${OPEN_XML}.presentationml.slideshow`, 'ppsx'],
  [`${OPEN_XML}.presentationml.template`, 'potx'],
  [`${OPEN_XML}.spreadsheetml.sheet`, 'xlsx'],
  [`${OPEN_XML}.spreadsheetml.template`, 'xltx'],
  [`${OPEN_XML}.wordprocessingml.document`, 'docx'],
  [`${OPEN_XML}.wordprocessingml.template`, 'dotx'],
  ['application/vnd.rar', 'rar'],
  ['application/vnd.sqlite3', 'sqlite sqlite3'],
  ['application/wasm', 'wasm'],
  ['application/x-7z-compressed', '7z'],
  ['application/x-bcpio', 'bcpio'],
  ['application/x-cpio', 'cpio'],
  ['application/x-csh', 'csh'],
  ['application/x-dvi', 'dvi'],
  ['application/x-gtar', 'gtar'],
  ['application/x-hdf', 'hdf'],
  ['application/x-hdf5', 'h5'],
  ['application/x-latex', 'latex'],
  ['application/x-mif', 'mif'],
  ['application/x-msdos-program', 'exe'],
  ['application/x-netcdf', 'cdf nc'],
  ['application/x-pkcs12', 'p12 pfx'],
  ['application/x-pn-realaudio', 'ram'],
  ['application/x-python-code', 'pyc pyo'],
  ['application/x-sh', 'sh'],
  ['application/x-shar', 'shar'],
  ['application/x-shockwave-flash', 'swf'],
  ['application/x-sv4cpio', 'sv4cpio'],
  ['application/x-sv4crc', 'sv4crc'],
  ['application/x-tar', 'tar'],
  ['application/x-tcl', 'tcl'],
  ['application/x-tex', 'tex'],
  ['application/x-texinfo', 'texi texinfo'],
  ['application/x-troff', 'roff t tr'],
  ['application/x-troff-man', 'man'],
  ['application/x-troff-me', 'me'],
  ['application/x-troff-ms', 'ms'],
  ['application/x-ustar', 'ustar'],
  ['application/x-wais-source', 'src'],
  ['application/xhtml+xml', 'xhtml'],
  ['application/xml', 'xml xsl rdf wsdl xpdl'],
  ['application/yaml', 'yaml yml'],
  ['application/zip', 'zip'],
  ['application/zstd', 'zst'],
  ['audio/3gpp', '3gp 3gpp'],
  ['audio/3gpp2', '3g2 3gpp2'],
  ['audio/aac', 'aac adts loas ass'],
  ['audio/basic', 'au snd'],
  ['audio/flac', 'flac'],
  ['audio/midi', 'mid midi'],
  ['audio/mp4', 'm4a'],
  ['audio/mpeg', 'mp3 mp2'],
  ['audio/ogg', 'oga ogg'],
  ['audio/opus', 'opus'],
  ['audio/x-aiff', 'aif aifc aiff'],
  ['audio/x-pn-realaudio', 'ra'],
  ['audio/x-wav', 'wav'],
  ['font/collection', 'ttc'],
  ['font/otf', 'otf'],
  ['font/ttf', 'ttf'],
  ['font/woff', 'woff'],
  ['font/woff2', 'woff2'],
  ['image/apng', 'apng'],
  ['image/avif', 'avif'],
  ['image/bmp', 'bmp'],
  ['image/gif', 'gif'],
  ['image/heic', 'heic'],
  ['image/heif', 'heif'],
  ['image/ief', 'ief'],
  ['image/jp2', 'jp2'],
  ['image/jpeg', 'jpg jpe jpeg'],
  ['image/jxl', 'jxl'],
  ['image/png', 'png'],
  ['image/svg+xml', 'svg'],
  ['image/tiff', 'tiff tif'],
  ['image/vnd.microsoft.icon', 'ico'],
  ['image/webp', 'webp'],
  ['image/x-cmu-raster', 'ras'],
  ['image/x-portable-anymap', 'pnm'],
  ['image/x-portable-bitmap', 'pbm'],
  ['image/x-portable-graymap', 'pgm'],
  ['image/x-portable-pixmap', 'ppm'],
  ['image/x-rgb', 'rgb'],
  ['image/x-xbitmap', 'xbm'],
  ['image/x-xpixmap', 'xpm'],
  ['image/x-xwindowdump', 'xwd'],
  ['message/rfc822', 'eml mht mhtml nws'],
  ['text/calendar', 'ics'],
  ['text/css', 'css'],
  ['text/csv', 'csv'],
  ['text/html', 'html htm'],
  ['text/javascript', 'js mjs'],
  ['text/markdown', 'md'],
  ['text/n3', 'n3'],
  ['text/plain', 'txt bat c h ksh pl srt'],
  ['text/richtext', 'rtx'],
  ['text/tab-separated-values', 'tsv'],
  ['text/vnd.trolltech.linguist', 'ts'],
  ['text/vtt', 'vtt'],
  ['text/x-python', 'py'],
  ['text/x-setext', 'etx'],
  ['text/x-sgml', 'sgm sgml'],
  ['text/x-vcard', 'vcf'],
  ['video/mp4', 'mp4'],
  ['video/mpeg', 'mpeg m1v mpa mpe mpg'],
  ['video/ogg', 'ogv'],
  ['video/quicktime', 'mov qt'],
  ['video/webm', 'webm'],
  ['video/x-matroska', 'mkv'],
  ['video/x-msvideo', 'avi'],
  ['video/x-sgi-movie', 'movie'],
];

const TYPES: ReadonlyMap<string, string> = new Map(
  TABLE.flatMap(([type, extensions]) => extensions.split(' ').map((one): [string, string] => [`.${one}`, type])),
);
