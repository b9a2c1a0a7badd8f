//! Base64 as servers write it in JSON: the standard alphabet, padded. Messages are read in it from leaders,
//! so it takes as much at once as the processor can.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd as Engine;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::GeneralPurpose as Engine;
use base64::engine::general_purpose::PAD;
use std::sync::LazyLock;

/// The way that suits the processor, which is found out once.
pub(super) static STANDARD: LazyLock<Engine> = LazyLock::new(new);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn new() -> Engine {
    Engine::standard(PAD)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn new() -> Engine {
    Engine::new(&base64::alphabet::STANDARD, PAD)
}
