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

#[test]
fn a_damaged_tuning_file_is_told_of_and_replaced() {
    if crate::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    // What is said of the file.
    let run = || {
        let arguments = ["profile", "lenet5", "--steps", "1", "--tune"];
        let output = command(&arguments).env("OMMA_CACHE", folder.path()).output().unwrap();
        let errors = text(&output.stderr);
        assert!(output.status.success(), "{errors}");
        errors.lines().filter(|line| line.contains("tuning.json")).map(String::from).collect::<Vec<_>>()
    };
    std::fs::write(&path, "something else").unwrap();
    let told = run();
    assert!(told.len() == 2 && told.iter().all(|line| line.contains("no file of omma's tuning")), "{told:?}");
    assert!(told[0].contains("timed anew") && told[1].contains("stays as it is"), "{told:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
    std::fs::write(&path, r#"{"format": "omma tuning 1", "dev"#).unwrap();
    let told = run();
    assert!(told.len() == 1 && told[0].contains("it is damaged") && told[0].contains("timed anew"), "{told:?}");
    let read = || -> serde_json::Value { serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() };
    let mut file = read();
    let (name, entry) = file["devices"].as_object_mut().unwrap().iter_mut().next().unwrap();
    let name = name.clone();
    entry["choices"] = serde_json::json!(["tiled"]);
    std::fs::write(&path, file.to_string()).unwrap();
    let told = run();
    assert!(told.len() == 1 && told[0].contains("the entry of this device is damaged"), "{told:?}");
    assert!(!read()["devices"][&name]["choices"].as_object().unwrap().is_empty());
    assert_eq!(run(), [""; 0]);
}
