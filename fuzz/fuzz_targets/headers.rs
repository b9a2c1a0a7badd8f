//! Runs the body of `headers` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evnats_fuzz::bodies::headers::run(data));
