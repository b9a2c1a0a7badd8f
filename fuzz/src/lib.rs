//! The bodies of the fuzz targets, which live with the protocol's tests: those replay the corpus
//! without a fuzzer.

#[path = "../../protocol/tests/fuzz_bodies/mod.rs"]
pub mod bodies;
