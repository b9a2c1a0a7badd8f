//! Runs the body of `session_ops` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evnats_fuzz::bodies::session_ops::run(data));
