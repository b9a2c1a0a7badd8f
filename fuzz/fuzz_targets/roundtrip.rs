//! Runs the body of `roundtrip` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evnats_fuzz::bodies::roundtrip::run(data));
