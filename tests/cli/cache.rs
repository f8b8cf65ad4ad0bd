//! What the command keeps from one run to the next.

use super::{command, text};

#[test]
fn compiled_kernels_are_kept_where_omma_cache_says() {
    let Some(gpu) = crate::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let run = |value: &str| {
        let output = command(&["profile", "lenet5", "--steps", "1"]).env("OMMA_CACHE", value).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    run("");
    run(cache.to_str().unwrap());
    if !gpu.device().features().contains(omma::wgpu::Features::PIPELINE_CACHE) {
        return;
    }
    let kept: Vec<_> = cache.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(kept.len() == 1 && kept[0].metadata().unwrap().len() > 0, "{kept:?}");
    std::fs::write(&kept[0], "something else").unwrap();
    let remarks = run(cache.to_str().unwrap());
    let name = kept[0].file_name().unwrap().to_str().unwrap();
    assert!(remarks.contains(name) && remarks.contains("compiled anew"), "{remarks}");
    assert!(!run(cache.to_str().unwrap()).contains("compiled anew"));
}
