//! Any bytes as an ONNX file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| omma_fuzz::load(bytes));
