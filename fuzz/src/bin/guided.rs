//! The targets under libFuzzer. LARDER_FUZZ_TARGET names the one; the arguments are libFuzzer's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

fuzz_target!(|bytes: &[u8]| {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("LARDER_FUZZ_TARGET").unwrap_or_default();
        larder_fuzz::target(&name).expect("LARDER_FUZZ_TARGET names no target").run
    });
    run(bytes);
});
