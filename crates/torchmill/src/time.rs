//! The clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 00:00 UTC; negative before that.
pub fn unix_seconds(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(e) => -e.duration().as_secs_f64(),
    }
}

/// Now, in seconds since 1970-01-01 00:00 UTC.
pub fn now() -> f64 {
    unix_seconds(SystemTime::now())
}

/// The current time in UTC and whole seconds, as in RFC 3339: `2026-01-31T12:00:00Z`.
pub fn now_rfc3339() -> String {
    rfc3339(SystemTime::now())
}

/// A time in RFC 3339. One that cannot be expressed becomes the nearest that can (the
/// years 1970 to 9999, as in humantime).
fn rfc3339(time: SystemTime) -> String {
    /// 9999-12-31 23:59:59 UTC.
    const LAST: f64 = 253_402_300_799.0;
    let seconds = unix_seconds(time).clamp(0.0, LAST);
    let time = UNIX_EPOCH + std::time::Duration::from_secs(seconds as u64);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The seconds since 1970-01-01 00:00 UTC of a time as ISO 8601 and pandas write it:
/// `2026-01-31T12:00:00`, with a blank instead of the T, with fractions of a second, with
/// `Z` or an offset such as `+02:00`. A time without an offset is in UTC.
pub fn parse_iso8601(text: &str) -> Option<f64> {
    let text = text.trim();
    let (clock, offset) = match text.get(10..)?.rfind(['+', '-']) {
        Some(at) => (&text[..10 + at], parse_offset(&text[10 + at..])?),
        None => (text, 0.0),
    };
    let time = humantime::parse_rfc3339_weak(clock).ok()?;
    Some(unix_seconds(time) - offset)
}

/// The seconds of `+02:00`, `+0200` or `+02`.
fn parse_offset(text: &str) -> Option<f64> {
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let digits = text.get(1..)?.replace(':', "");
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: f64 = digits[..2].parse().ok()?;
    let minutes: f64 = digits.get(2..4).unwrap_or("0").parse().ok()?;
    Some(sign * (hours * 3600.0 + minutes * 60.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_read_as_pandas_writes_them() {
        for (text, seconds) in [
            ("2026-01-31T12:00:00Z", 1_769_860_800.0),
            ("2026-01-31 12:00:00", 1_769_860_800.0),
            ("2026-01-31 12:00:00.250", 1_769_860_800.25),
            ("2026-01-31T14:00:00+02:00", 1_769_860_800.0),
            ("2026-01-31T06:30:00.5-0530", 1_769_860_800.5),
        ] {
            assert_eq!(parse_iso8601(text), Some(seconds), "{text}");
        }
        for other in ["", "12", "31.01.2026", "2026-13-01 00:00:00", "2026-01-31 12:00+x"]
        {
            assert_eq!(parse_iso8601(other), None, "{other}");
        }
    }

    #[test]
    fn clocks_that_are_far_off_do_not_panic() {
        let minute = Duration::from_secs(60);
        assert_eq!(unix_seconds(UNIX_EPOCH - minute), -60.0);
        assert_eq!(rfc3339(UNIX_EPOCH - minute), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(UNIX_EPOCH + minute), "1970-01-01T00:01:00Z");
        let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(rfc3339(far), "9999-12-31T23:59:59Z");
    }
}
