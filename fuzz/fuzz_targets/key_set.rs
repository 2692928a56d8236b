#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rides_server::fuzz::key_set(input));
