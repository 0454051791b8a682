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

/// Now as RFC 3339 has it, in UTC and whole seconds: `2026-01-31T12:00:00Z`.
pub fn now_rfc3339() -> String {
    rfc3339(SystemTime::now())
}

/// Times that RFC 3339 cannot express become the nearest that it can (the years 1970 to
/// 9999, as humantime has them).
fn rfc3339(time: SystemTime) -> String {
    /// 9999-12-31 23:59:59 UTC.
    const LAST: f64 = 253_402_300_799.0;
    let seconds = unix_seconds(time).clamp(0.0, LAST);
    let time = UNIX_EPOCH + std::time::Duration::from_secs(seconds as u64);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
