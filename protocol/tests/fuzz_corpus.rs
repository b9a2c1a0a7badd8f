//! Replays the checked-in corpus of every fuzz target, so that what the fuzzer once found stays
//! found without it.

#[expect(unreachable_pub, reason = "the fuzz targets need them public")]
mod fuzz_bodies;

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
