//! Replays the checked-in corpus of every fuzz target, so that what the fuzzer once found stays
//! found without it.

#[expect(unreachable_pub, reason = "the fuzz targets need them public")]
mod fuzz_bodies;

use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

#[test]
fn every_file_of_the_corpus_keeps_the_promises() {
    for (name, body) in fuzz_bodies::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            let input = fs::read(&path).unwrap();
            // the name is shown with the output of a failed test
            println!("{}", path.display());
            body(&input);
            // a stream may stop anywhere
            (0..input.len()).for_each(|end| body(&input[..end]));
            count += 1;
        }
        assert!(count > 0, "no files in {folder:?}");
    }
}

#[test]
fn nothing_at_all_keeps_the_promises() {
    for (_, body) in fuzz_bodies::ALL {
        body(b"");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// The corpus has few blocks with several headers.
    #[test]
    fn header_blocks_are_read_as_a_plain_reader_reads_them(pieces in vec(piece(), 0..16)) {
        fuzz_bodies::headers::run(&pieces.concat());
    }
}

const USUAL: &[&str] = &[
    "A: 1\r\n",
    "AB: two\r\n",
    "A:",
    "B",
    ":",
    ": ",
    "\r",
    "\n",
    "\r\n",
    " ",
    "7",
    "18446744073709551616",
    "Trace-Id: 17\r\n",
    "Trace-Id:",
    "X-A-Long-Name-Of-A-Header-AB: a long value of one, too\r\n",
    "X-A-Long-Name-Of-A-Header-AB:",
    "\n\u{e9}",
    "\n\t",
    "é: ü\r\n",
    " 503",
    "NATS/1.0",
];

/// Pieces that combine into header blocks, and into what nearly is one.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(USUAL).prop_map(|text| text.into()),
        1 => vec(any::<u8>(), 0..4),
    ]
}
