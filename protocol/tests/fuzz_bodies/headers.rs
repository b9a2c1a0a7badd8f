//! Any block can be read, as a plain reader reads it that was written after the grammar; and what the
//! builder builds is read as it was given.

use super::reader::Reader;
use evnats_protocol::{HeaderMap, Headers};

pub fn run(data: &[u8]) {
    read(data);
    // most input is no block at all without this line
    read(&[b"NATS/1.0", data].concat());
    read(&[b"NATS/1.0\r\n", data].concat());
    build(&mut Reader::new(data));
}

fn read(block: &[u8]) {
    let headers = Headers::new(block);
    assert_eq!(headers.as_bytes(), block);
    if let Some(status) = headers.status() {
        assert!((100..=999).contains(&status.code));
        assert_eq!(status.description, status.description.trim_ascii());
    }
    let lines: Vec<_> = plain_lines(block);
    assert_eq!(headers.iter_bytes().collect::<Vec<_>>(), lines);
    let shown = |(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    assert!(headers.iter().eq(lines.iter().copied().map(shown)));
    for (name, value) in &lines {
        look_up(headers, &lines, name);
        // names that are none, or others
        look_up(headers, &lines, value);
        look_up(headers, &lines, &name[1..]);
        look_up(headers, &lines, &[name, &b":"[..]].concat());
        look_up(headers, &lines, &[name, &b": "[..], value].concat());
    }
    look_up(headers, &lines, b"");
    look_up(headers, &lines, block);
    let _ = format!("{headers:?}");
}

fn look_up(headers: Headers<'_>, lines: &[(&[u8], &[u8])], name: &[u8]) {
    let Ok(text) = std::str::from_utf8(name) else { return };
    let found = lines.iter().filter(|(other, _)| *other == name);
    let values: Vec<_> = found.map(|(_, value)| *value).collect();
    let shown: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value)).collect();
    assert_eq!(headers.values(text).collect::<Vec<_>>(), shown);
    assert_eq!(headers.get(text), shown.first().cloned());
    assert_eq!(headers.last(text), shown.last().cloned());
    let digits = values.last().filter(|value| value.iter().all(u8::is_ascii_digit));
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    assert_eq!(headers.last_number(text), number);
}

/// The lines of a block, read slowly.
fn plain_lines(block: &[u8]) -> Vec<(&[u8], &[u8])> {
    if !block.starts_with(b"NATS/1.0") {
        return Vec::new();
    }
    let lines = block.split(|byte| *byte == b'\n').skip(1);
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.take_while(|line| !line.is_empty());
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    });
    headers.filter(|(name, _)| !name.is_empty()).collect()
}

fn build(input: &mut Reader<'_>) {
    let (mut map, mut other) = (HeaderMap::new(), HeaderMap::new());
    let (mut expected, mut expected_other) = (Vec::new(), Vec::new());
    let mut refused = false;
    while !input.is_empty() {
        let (name, value) = (input.text(12), input.bytes(12));
        let valid = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
            && !value.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        refused |= !valid;
        let (map, expected) = match input.flag() {
            false => (&mut map, &mut expected),
            true => (&mut other, &mut expected_other),
        };
        map.append(&name, value);
        if valid {
            expected.push((name.into_bytes(), value.trim_ascii().to_vec()));
        }
    }
    map.extend(&other);
    expected.append(&mut expected_other);
    assert_eq!(map.check().is_err(), refused);
    assert_eq!(map.is_empty(), expected.is_empty());
    let read: Vec<_> = map
        .as_headers()
        .iter_bytes()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    assert_eq!(read, expected);
    assert_eq!(map.as_headers().status(), None);
}
