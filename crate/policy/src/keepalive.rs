//! Whether a connection may carry another request, as far as the response's fields say: the `Connection` options and
//! the version (RFC 9112 §9.3), and the server's own bound in `Keep-Alive` (RFC 2068 §19.7.1, never standardised since,
//! sent by most servers). Framing and the pool's own bounds are judged elsewhere.

use std::time::Duration;

/// What a server says about how long it keeps a connection.
///
/// ```
/// use ferropool_policy::keepalive::parse;
/// use std::time::Duration;
///
/// let hint = parse(b"timeout=5, max=100");
/// assert_eq!(hint.timeout, Some(Duration::from_secs(5)));
/// assert_eq!(hint.max, Some(100));
/// assert_eq!(hint.idle_for(), Some(Duration::from_millis(4_500)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// How long the server leaves an idle connection open; whole seconds on the wire. `None`: it did not say.
    pub timeout: Option<Duration>,
    /// How many further requests the server will take on the connection. `None`: it did not say.
    ///
    /// Servers that send it count down from response to response, so it is read as what is left, not as a total.
    pub max: Option<u32>,
}

impl Hint {
    /// How long the connection may be idle with us: the server's time-out less [`MARGIN`], at least zero.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.timeout.map(|timeout| timeout.saturating_sub(MARGIN))
    }

    /// Both hints at once, as when the field comes in several lines: the shorter time, the smaller count.
    #[must_use]
    pub fn tighten(self, other: Self) -> Self {
        Self { timeout: least(self.timeout, other.timeout), max: least(self.max, other.max) }
    }
}

/// Reads the value of one `Keep-Alive` line. Never fails: a parameter that is no `timeout` or `max` with a plain decimal
/// number is passed over, a number too large to hold is the largest that can be held.
#[must_use]
pub fn parse(value: &[u8]) -> Hint {
    let mut hint = Hint::default();
    for parameter in value.split(|byte| matches!(byte, b',' | b';')) {
        let Some(at) = parameter.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let name = parameter[..at].trim_ascii();
        let Some(number) = decimal(unquoted(parameter[at + 1..].trim_ascii())) else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"timeout") {
            hint = hint.tighten(Hint { timeout: Some(Duration::from_secs(number.into())), max: None });
        } else if name.eq_ignore_ascii_case(b"max") {
            hint = hint.tighten(Hint { timeout: None, max: Some(number) });
        }
    }
    hint
}

/// Whether version and `Connection` options leave the connection open after the response (RFC 9112 §9.3).
///
/// `connection_values` are the values of all `Connection` lines; those of `Proxy-Connection`, which old proxies send in
/// its place, belong to them. `close` outweighs everything. HTTP/1.1 persists without being told, HTTP/1.0 only when
/// it says `keep-alive`.
#[must_use]
pub fn may_persist<'a>(version_11: bool, connection_values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut stated = false;
    for value in connection_values {
        for option in value.split(|&byte| byte == b',') {
            // A `close` with parameters is no `close` by the grammar, but nobody who writes one means to stay.
            let bare = option.split(|&byte| byte == b';').next().unwrap_or(option);
            if bare.trim_ascii().eq_ignore_ascii_case(b"close") {
                return false;
            }
            stated |= option.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
        }
    }
    version_11 || stated
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// Digits only: a sign, a fraction or a unit make it something that we do not understand.
fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let append = |number: u32, digit: &u8| number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    Some(digits.iter().fold(0, append))
}

/// What is taken off the server's time-out: a request sent in the last moment would meet the server's FIN half way.
pub const MARGIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(timeout: Option<u64>, max: Option<u32>) -> Hint {
        Hint { timeout: timeout.map(Duration::from_secs), max }
    }

    #[test]
    fn a_keep_alive_value_is_read_and_junk_passed_over() {
        let table: &[(&str, &str, Hint)] = &[
            ("both", "timeout=5, max=1", hint(Some(5), Some(1))),
            ("case and blanks", " TimeOut = 15 ,\tMAX=\t100 ", hint(Some(15), Some(100))),
            ("semicolon", "timeout=5;max=2", hint(Some(5), Some(2))),
            ("quoted", "timeout=\"5\"", hint(Some(5), None)),
            ("max alone", "max=0", hint(None, Some(0))),
            ("the smaller of two", "timeout=9, timeout=3, max=2, max=7", hint(Some(3), Some(2))),
            ("empty", "", Hint::default()),
            ("commas", ",,,;,=,=5,", Hint::default()),
            ("bare number", "300", Hint::default()),
            ("no number", "timeout=, max", Hint::default()),
            ("sign, fraction, unit", "timeout=-5, timeout=+5, timeout=1.5, timeout=5s, max=0x5", Hint::default()),
            ("half a quote", "timeout=\"5", Hint::default()),
            ("lone quote", "timeout=\"", Hint::default()),
            ("other names", "timeouts=5, maximum=1, xtimeout=2", Hint::default()),
            ("junk between", "foo, timeout=5 5, \u{0}max=3, timeout=7", hint(Some(7), None)),
            ("too large", "timeout=99999999999999999999", hint(Some(u32::MAX.into()), None)),
        ];
        for (name, value, expected) in table {
            assert_eq!(parse(value.as_bytes()), *expected, "{name}");
        }
    }

    #[test]
    fn a_keep_alive_value_of_any_bytes_is_harmless() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(parse(&all), Hint::default());
        assert_eq!(parse(&b"timeout=1,".repeat(100_000)), hint(Some(1), None));
    }

    // THR-315
    #[test]
    fn the_margin_comes_off_the_servers_time_and_never_below_zero() {
        assert_eq!(hint(Some(5), None).idle_for(), Some(Duration::from_millis(4_500)));
        assert_eq!(hint(Some(0), None).idle_for(), Some(Duration::ZERO));
        assert_eq!(hint(None, Some(3)).idle_for(), None);
    }

    // THR-313
    #[test]
    fn only_version_and_connection_options_that_leave_it_open_let_it_persist() {
        let table: &[(&str, bool, &[&str], bool)] = &[
            ("1.1 without", true, &[], true),
            ("1.1 close", true, &["close"], false),
            ("1.1 case", true, &["cLoSe"], false),
            ("1.1 blanks", true, &[" \tclose\t "], false),
            ("1.1 among others", true, &["keep-alive, upgrade,close"], false),
            ("1.1 empty elements", true, &[",, close ,"], false),
            ("1.1 second line", true, &["keep-alive", "close"], false),
            ("1.1 first line", true, &["close", "keep-alive"], false),
            ("1.1 with parameters", true, &["close;q=1"], false),
            ("1.1 keep-alive", true, &["keep-alive"], true),
            ("1.1 another option", true, &["te, closed, xclose"], true),
            ("1.1 empty", true, &[""], true),
            ("1.0 without", false, &[], false),
            ("1.0 keep-alive", false, &["Keep-Alive"], true),
            ("1.0 second line", false, &["te", "foo, keep-alive"], true),
            ("1.0 both", false, &["keep-alive, close"], false),
            ("1.0 keep-alive with parameters", false, &["keep-alive;timeout=5"], false),
            ("1.0 something like it", false, &["keepalive", "keep alive"], false),
        ];
        for (name, version_11, values, expected) in table {
            let values = values.iter().map(|value| value.as_bytes());
            assert_eq!(may_persist(*version_11, values), *expected, "{name}");
        }
    }
}
