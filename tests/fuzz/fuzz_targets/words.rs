//! See `words` in `tests/hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qdjobs_hostile::words(bytes));
