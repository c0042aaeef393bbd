/** What `--help` says: one screen of 80 by 24. docs/cli.md says the rest. */
export const HELP = `Usage: ferropool [OPTION...] URL...  one request a URL, and where its time went

  -X, --request METHOD    -H, --header 'NAME: VALUE'    -u, --user NAME:PASSWORD
  -d, --data DATA|@FILE|@- (POST)   --json-data JSON|@FILE   -I, --head (HEAD)
  -L, --location          follow redirects, --max-redirects N of them (10)
      --retries N         try again what may be tried again (0)
  -m, --timeout SECONDS   of the whole request (none; silence ends it after 30)
      --connect-timeout SECONDS   of name, connection and TLS (30)
      --h2, --http1, --h2-prior-knowledge   (what the server prefers)
  -x, --proxy URL         http, https, socks4, socks5 ... (http_proxy and so on)
      --resolve HOST:PORT:ADDRESS   --unix-socket PATH
  -k, --insecure   --cacert FILE   -E, --cert FILE   --key FILE   --pass WORD
      --no-compressed     ask for no compression   --raw   do not undo it
  -o, --output FILE|-     keep the body; - shows it   -O, --remote-name (URL's)
  -f, --fail              a status of 400 or more ends with exit code 22
      --repeat N          percentiles of N requests   --concurrency C (1)
      --json              a JSON document a URL, without its query (-v: with it)
  -v, --verbose           every header whole   -q, --quiet   no report
      --no-color          (NO_COLOR, FORCE_COLOR)    -V, --version    -h, --help

before: redirects, retries; other: between the phases; deliver: not in the total
Exit codes: 0 answers, 1 something failed, 2 usage, 22 --fail, 130 Ctrl-C
`;
