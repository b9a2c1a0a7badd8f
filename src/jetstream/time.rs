//! Times and durations as JetStream writes them in JSON.
//!
//! Times are RFC 3339 text with up to nine decimals; year 1 (Go's zero time) and the empty string
//! stand for "none". Durations are integer nanoseconds; in configurations zero and negative numbers
//! stand for "not set". The invariant: nothing here panics, whatever the text or number, and what
//! cannot be represented is an error or "none", never a wrong time. No clock is read here.

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use serde::de::{Deserialize, Deserializer};
use std::time::{Duration, SystemTime};

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub(crate) struct InvalidTime;

/// Reads a time with any offset; "none" (`Ok(None)`) for the zero time and the empty string.
///
/// # Errors
///
/// [`InvalidTime`] if the text is anything else.
pub(crate) fn parse_rfc3339(text: &str) -> Result<Option<SystemTime>, InvalidTime> {
    if text.is_empty() {
        return Ok(None);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTime)?;
    if time.year() <= 1 {
        return Ok(None);
    }
    let nanos = time.unix_timestamp_nanos();
    let distance = duration_from_nanos(nanos.unsigned_abs()).ok_or(InvalidTime)?;
    let time = if nanos < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.map(Some).ok_or(InvalidTime)
}

/// Writes a time in UTC, with nine decimals if it has any.
///
/// # Errors
///
/// [`InvalidTime`] outside the years 0 to 9999, which the format cannot express.
pub(crate) fn format_rfc3339(time: SystemTime) -> Result<String, InvalidTime> {
    let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()),
        Err(before) => i128::try_from(before.duration().as_nanos()).map(|nanos| -nanos),
    };
    let time = nanos
        .ok()
        .and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok())
        .filter(|time| (0..=9999).contains(&time.year()))
        .ok_or(InvalidTime)?;
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if time.nanosecond() != 0 {
        text.push_str(&format!(".{:09}", time.nanosecond()));
    }
    text.push('Z');
    Ok(text)
}

/// Reads a duration as Go writes them: `1h30m0s`, `1.5s`, `250ms`. Not a negative one.
pub(crate) fn parse_go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    loop {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        total = total.checked_add(go_duration_part(number, unit)?)?;
        if tail.is_empty() {
            return Some(total);
        }
        rest = tail;
    }
}

/// One number of a duration, which may have decimals, with its unit.
fn go_duration_part(number: &str, unit: &str) -> Option<Duration> {
    let nanos_in_unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    // "5." and ".5" are numbers, "." is none
    let whole: u64 =
        if whole.is_empty() && !decimals.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(nanos_in_unit)?;
    let mut place = nanos_in_unit;
    for digit in decimals.bytes() {
        place /= 10;
        nanos = nanos.checked_add(place * u64::from(digit.checked_sub(b'0')?.min(9)))?;
    }
    Some(Duration::from_nanos(nanos))
}

/// `#[serde(with)]` for `Option<SystemTime>` in RFC 3339.
pub(crate) mod rfc3339 {
    use std::borrow::Cow;
    use std::time::SystemTime;

    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Error as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => {
                serializer.serialize_str(&super::format_rfc3339(*time).map_err(S::Error::custom)?)
            }
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        match Option::<Cow<'de, str>>::deserialize(deserializer)? {
            Some(text) => super::parse_rfc3339(&text).map_err(D::Error::custom),
            None => Ok(None),
        }
    }
}

/// `#[serde(with)]` for a duration in a configuration: nanoseconds, not set if zero or negative.
pub(crate) mod nanos {
    use std::time::Duration;

    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_i64(super::saturating_nanos(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let nanos = Option::<i64>::deserialize(deserializer)?.unwrap_or(0);
        Ok(u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos))
    }
}

/// `#[serde(with)]` for a list of durations in nanoseconds; `null` is an empty list.
pub(crate) mod nanos_list {
    use std::time::Duration;

    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(
        durations: &[Duration],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(durations.iter().map(|duration| super::saturating_nanos(*duration)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Duration>, D::Error> {
        let nanos = Option::<Vec<i64>>::deserialize(deserializer)?.unwrap_or_default();
        // a negative wait cannot be told from none
        Ok(nanos.into_iter().map(|n| Duration::from_nanos(u64::try_from(n).unwrap_or(0))).collect())
    }
}

/// Decodes "how long ago" in nanoseconds; negative means never.
pub(crate) fn elapsed_nanos<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let nanos = Option::<i64>::deserialize(deserializer)?;
    Ok(nanos.and_then(|nanos| u64::try_from(nanos).ok()).map(Duration::from_nanos))
}

/// The server's type is a signed 64-bit number: it can be given 292 years at most.
fn saturating_nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn duration_from_nanos(nanos: u128) -> Option<Duration> {
    const PER_SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / PER_SECOND).ok()?;
    Some(Duration::new(seconds, (nanos % PER_SECOND) as u32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn durations_as_go_writes_them() {
        for (text, millis) in [
            ("1h30m0s", Some(5_400_000)),
            ("1.5s", Some(1_500)),
            ("250ms", Some(250)),
            (".5m", Some(30_000)),
            ("5.s", Some(5_000)),
            ("2us", Some(0)),
            ("0", Some(0)),
            ("", None),
            ("5", None),
            (".s", None),
            ("-1s", None),
            ("1d", None),
            ("1.2.3s", None),
            ("99999999999h", None),
        ] {
            let parsed = parse_go_duration(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, millis, "{text:?}");
        }
    }

    #[test]
    fn parses_what_servers_and_clients_write() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", at(0, 0)),
            ("2024-02-29T12:34:56.123456789Z", at(1_709_210_096, 123_456_789)),
            ("2024-02-29T12:34:56.5Z", at(1_709_210_096, 500_000_000)),
            ("2024-02-29T12:34:56+00:00", at(1_709_210_096, 0)),
            ("2024-02-29T14:34:56.000001+02:00", at(1_709_210_096, 1_000)),
            ("2024-02-29T07:04:56-05:30", at(1_709_210_096, 0)),
        ] {
            assert_eq!(parse_rfc3339(text), Ok(Some(expected)), "{text}");
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(500);
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59.5Z"), Ok(Some(before)));
    }

    #[test]
    fn zero_time_and_empty_text_are_none() {
        for text in ["", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"] {
            assert_eq!(parse_rfc3339(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn rejects_other_text() {
        for text in ["yesterday", "2024-02-30T00:00:00Z", "2024-02-29", "2024-02-29T12:34:56", "0"]
        {
            assert_eq!(parse_rfc3339(text), Err(InvalidTime), "{text}");
        }
    }

    #[test]
    fn formats() {
        assert_eq!(format_rfc3339(at(0, 0)).unwrap(), "1970-01-01T00:00:00Z");
        let text = "2024-02-29T12:34:56.000000789Z";
        assert_eq!(format_rfc3339(at(1_709_210_096, 789)).unwrap(), text);
        assert_eq!(format_rfc3339(at(400_000_000_000, 0)), Err(InvalidTime));
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Sample {
        #[serde(with = "rfc3339")]
        time: Option<SystemTime>,
        #[serde(with = "nanos")]
        wait: Option<Duration>,
        #[serde(with = "nanos_list")]
        waits: Vec<Duration>,
        #[serde(skip_serializing, deserialize_with = "elapsed_nanos")]
        active: Option<Duration>,
    }

    #[test]
    fn serde_helpers() {
        let json = r#"{"time":"1970-01-01T00:00:01Z","wait":5,"waits":[1,2],"active":0}"#;
        let sample: Sample = serde_json::from_str(json).unwrap();
        assert_eq!(sample.time, Some(at(1, 0)));
        assert_eq!(sample.wait, Some(Duration::from_nanos(5)));
        assert_eq!(sample.waits, [Duration::from_nanos(1), Duration::from_nanos(2)]);
        assert_eq!(sample.active, Some(Duration::ZERO));
        let json = r#"{"time":"1970-01-01T00:00:01Z","wait":5,"waits":[1,2]}"#;
        assert_eq!(serde_json::to_string(&sample).unwrap(), json);

        let json = r#"{"time":null,"wait":null,"waits":null,"active":null}"#;
        assert_eq!(serde_json::from_str::<Sample>(json).unwrap(), Sample::default());
        let json = r#"{"time":"0001-01-01T00:00:00Z","wait":-1,"waits":[],"active":-1}"#;
        assert_eq!(serde_json::from_str::<Sample>(json).unwrap(), Sample::default());

        let long = Sample { wait: Some(Duration::MAX), ..Sample::default() };
        assert!(serde_json::to_string(&long).unwrap().contains("\"wait\":9223372036854775807"));
    }

    proptest! {
        #[test]
        fn round_trips(seconds in 0..253_402_300_800_u64, nanos in 0..1_000_000_000_u32) {
            let time = at(seconds, nanos);
            prop_assert_eq!(parse_rfc3339(&format_rfc3339(time).unwrap()), Ok(Some(time)));
        }

        #[test]
        fn never_panics(text in any::<String>(), seconds in any::<u64>()) {
            let _ = parse_rfc3339(&text);
            if let Some(time) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
                let _ = format_rfc3339(time);
            }
        }
    }
}
