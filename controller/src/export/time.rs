//! Moments as people and spreadsheets read them: RFC 3339, in UTC.

use spec::Span;

const DAY_MS: u64 = 86_400_000;

/// 2026-03-01T09:30:00.000Z.
pub fn moment(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / DAY_MS, unix_ms % DAY_MS);
    let (year, month, day) = date(days);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// A day (2026-03-01, its beginning), a moment (2026-03-01T09:30:00Z), or a time back from now (30d).
///
/// # Errors
/// What would be understood.
pub fn instant(text: &str, now_ms: u64) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is no moment; write 2026-03-01, 2026-03-01T09:30:00Z, or 30d for 30 days ago");
    if let Ok(span) = text.parse::<Span>() {
        return Ok(now_ms.saturating_sub(span.ms()));
    }
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let numbers = |text: &str, by: char| -> Option<[u64; 3]> {
        let all: Vec<u64> = text.split(by).map(str::parse).collect::<Result<_, _>>().ok()?;
        all.try_into().ok()
    };
    let time = time.strip_suffix('Z').ok_or_else(wrong)?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = numbers(day, '-').ok_or_else(wrong)?;
    let [hour, minute, second] = numbers(time, ':').ok_or_else(wrong)?;
    let days = days(year, month, day).ok_or_else(wrong)?;
    if hour > 23 || minute > 59 || second > 60 {
        return Err(wrong());
    }
    Ok(days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000)
}

const fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn length(year: u64, month: u64) -> u64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of a day since 1970-01-01.
const fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    loop {
        let all = if leap(year) { 366 } else { 365 };
        if days < all {
            break;
        }
        days -= all;
        year += 1;
    }
    let mut month = 1;
    while days >= length(year, month) {
        days -= length(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

/// Days since 1970-01-01; `None`: there is no such day.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..10_000).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=length(year, month)).contains(&day)
    {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|month| length(year, month)).sum();
    Some(years + months + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(moment(unix_ms), text);
            assert_eq!(instant(text, 0), Ok(unix_ms / 1_000 * 1_000));
        }
        assert_eq!(instant("2000-02-29", 0), Ok(951_782_400_000));
        assert_eq!(instant("30d", 40 * DAY_MS), Ok(10 * DAY_MS));
        for wrong in
            ["", "yesterday", "2026-02-30", "2026-13-01", "2026-03-01T09:30:00", "2026-03-01T25:00:00Z"]
        {
            let error = instant(wrong, 0).expect_err(wrong);
            assert!(error.contains("30d"), "{error}");
        }
    }
}
