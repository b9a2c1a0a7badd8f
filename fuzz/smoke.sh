#!/bin/sh
# Fuzzes every target for a short time and fails if one of them does. FUZZ_SECONDS is the time for
# each, ten seconds by default. What the fuzzer learns goes to the target directory, not into the
# corpus that is checked in.
set -eu
cd "$(dirname "$0")"

seconds="${FUZZ_SECONDS:-10}"
target_dir="${CARGO_TARGET_DIR:-$PWD/target}"
# also where cargo installs to, which need not be on the path
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

if ! cargo fuzz --version >/dev/null 2>&1; then
    timeout 900 cargo install cargo-fuzz --locked
fi

# The instrumentation needs a nightly compiler, or a stable one that is told to behave like one.
if toolchains="$(rustup toolchain list 2>/dev/null)" && echo "$toolchains" | grep -q '^nightly'; then
    toolchain=+nightly
else
    toolchain=
    export RUSTC_BOOTSTRAP=1
fi

# The crate forbids unsafe code: without a sanitizer the same time holds many times the runs.
timeout 900 cargo $toolchain fuzz build --sanitizer none

failed=
for target in $(cargo $toolchain fuzz list); do
    work="$target_dir/fuzz/$target"
    mkdir -p "$work/corpus" "$work/artifacts"
    echo "== $target: $seconds s"
    # the outer limit is for a target that does not even end
    if ! timeout $((seconds + 60)) cargo $toolchain fuzz run --sanitizer none "$target" \
        "$work/corpus" "corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
        -dict=nats.dict -artifact_prefix="$work/artifacts/" -verbosity=0 -print_final_stats=1; then
        failed="$failed $target"
    fi
done

if [ -n "$failed" ]; then
    echo "failed:$failed (inputs are in $target_dir/fuzz/<target>/artifacts)" >&2
    exit 1
fi
