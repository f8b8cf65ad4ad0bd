//! Files that are well-formed, of nodes that are seldom so: this reaches what operators make of their arguments.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = omma_fuzz::operators::file(&mut arbitrary::Unstructured::new(bytes)) {
        omma_fuzz::load(&file);
    }
});
