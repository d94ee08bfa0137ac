#![no_main]

#[path = "../../tests/it/fuzz/targets.rs"]
#[allow(dead_code, reason = "each fuzzer runs one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(
    // The fuzzer ends at any panic; those of the template engine are expected, and caught where it is called. One that
    // is not caught ends it all the same.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| targets::gotmpl(data)
);
