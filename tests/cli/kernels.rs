//! `omma kernels`.

use super::{fails, omma, text};

#[test]
fn every_kernel_of_a_family_is_written_with_its_entry_point() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("kernels");
    let output = omma(&["kernels", written.to_str().unwrap(), "--op", "dropout"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let files: Vec<_> = written.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(text(&output.stdout).starts_with(&format!("{} kernels in ", files.len())), "{}", text(&output.stdout));
    assert!(files.iter().any(|path| path.file_name().unwrap().to_string_lossy().starts_with("dropout.")), "{files:?}");
    for path in files {
        let content = std::fs::read_to_string(&path).unwrap();
        let (head, code) = content.split_once('\n').unwrap();
        let head: serde_json::Value = serde_json::from_str(head.strip_prefix("// ").unwrap()).unwrap();
        let entry = format!("fn {}(", head["entry"].as_str().unwrap());
        assert!(code.contains("@compute") && code.contains(&entry), "{}", path.display());
    }
}

#[test]
fn an_unknown_family_is_refused() {
    fails(&["kernels", "out", "--op", "colour"], &["--op", "`colour`", "conv2d"]);
}
