//! The value of a Retry-After field (RFC 9110 §10.2.3): seconds, or one of the three forms of a date (§5.6.7).
//!
//! Dates are read a little more widely, as urllib3 does: the weekday may be missing or wrong, the day may have one digit,
//! and the zone may be an offset or one of RFC 5322's names. Without a zone it is UTC.

/// Milliseconds from now until then; 0 for the past. `None` for anything else.
pub(super) fn parse(value: &[u8], now_unix_ms: f64) -> Option<f64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // However many digits there are: it only has to be a number that can be compared.
        return text.parse::<f64>().ok().map(|seconds| (seconds * 1_000.0).min(MOST));
    }
    let then = date(text, now_unix_ms)?;
    Some((then as f64 * 1_000.0 - now_unix_ms).clamp(0.0, MOST))
}

/// Milliseconds; longer than anybody waits, and a whole number in JavaScript.
const MOST: f64 = 9e15;

/// Seconds since 1970.
fn date(text: &str, now_unix_ms: f64) -> Option<i64> {
    let mut words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty()).peekable();
    words.next_if(|word| WEEKDAYS.iter().any(|day| is_name(day, word)));
    let first = words.next()?;
    let (day, month, year, time);
    if let Some(named) = month_of(first) {
        // asctime: `Jun  3 11:30:12 2019`.
        (month, day, time) = (named, number(words.next()?, 2)?, words.next()?);
        year = number(words.next()?, 4)?;
    } else {
        let mut dashed = first.split('-');
        let in_one = first.contains('-');
        let mut part = || if in_one { dashed.next() } else { None };
        // RFC 850: `03-Jun-19 11:30:12 GMT`; else IMF-fixdate: `03 Jun 2019 11:30:12 GMT`.
        let parts = if in_one { [part()?, part()?, part()?] } else { [first, words.next()?, words.next()?] };
        if part().is_some() {
            return None;
        }
        day = number(parts[0], 2)?;
        month = month_of(parts[1])?;
        year = if parts[2].len() == 2 { full_year(number(parts[2], 2)?, now_unix_ms) } else { number(parts[2], 4)? };
        time = words.next()?;
    }
    let offset = words.next().map_or(Some(0), zone)?;
    if words.next().is_some() {
        return None;
    }
    let mut clock = time.split(':');
    let mut part = || number(clock.next()?, 2);
    let (hour, minute, second) = (part()?, part()?, part()?);
    if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if day < 1 || day > days_in(month, year) {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

/// A date more than 50 years ahead is meant as the past (RFC 9110 §5.6.7).
fn full_year(two_digits: i64, now_unix_ms: f64) -> i64 {
    // The mean length of a year; which day of it matters to nobody who means fifty years.
    let now = 1970 + (now_unix_ms / (365.2425 * 86_400_000.0)).floor() as i64;
    let year = now.div_euclid(100) * 100 + two_digits;
    if year > now.saturating_add(50) { year - 100 } else { year }
}

/// Seconds east of Greenwich.
fn zone(name: &str) -> Option<i64> {
    let hours = match name.to_ascii_uppercase().as_str() {
        "GMT" | "UTC" | "UT" | "Z" => 0,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => return offset(name),
    };
    Some(hours * 3_600)
}

/// `+0200`.
fn offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text.get(1..)?;
    let value = (digits.len() == 4).then(|| number(digits, 4)).flatten()?;
    (value % 100 < 60).then_some(sign * (value / 100 * 3_600 + value % 100 * 60))
}

/// A whole number of so many digits at most.
fn number(text: &str, most: usize) -> Option<i64> {
    if text.len() > most || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// 1 to 12.
fn month_of(name: &str) -> Option<i64> {
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    Some(at as i64 + 1)
}

/// The short name of the weekday, or the whole of it.
fn is_name(whole: &str, word: &str) -> bool {
    word.eq_ignore_ascii_case(whole) || word.eq_ignore_ascii_case(&whole[..3])
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The proleptic Gregorian calendar, in years that begin with March, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 306 + 5) / 10 + day
        - 1
        - 719_468
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
