//! Runs the body of `split` on whatever the fuzzer thinks of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| evnats_fuzz::bodies::split::run(data));
