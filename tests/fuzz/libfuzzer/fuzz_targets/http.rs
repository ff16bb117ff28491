//! See `http` in `tests/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qdjobs_fuzz::http(bytes));
