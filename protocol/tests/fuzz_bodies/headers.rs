//! Any block can be read, and what the builder builds is read as it was given.

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
    for (name, value) in headers.iter_bytes() {
        assert!(!name.is_empty() && !name.contains(&b':') && !name.contains(&b'\n'));
        assert!(value == value.trim_ascii() && !value.contains(&b'\n'));
        let Ok(name) = std::str::from_utf8(name) else { continue };
        assert!(headers.get(name).is_some() && headers.last(name).is_some());
        assert_eq!(headers.values(name).last(), headers.last(name));
        let _ = headers.last_number(name);
    }
    assert_eq!(headers.iter().count(), headers.iter_bytes().count());
    let _ = format!("{headers:?}");
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
