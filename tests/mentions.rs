//! Every path that the documents name is there.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Named as what a reader is to write, or as what is still to come.
const NOT_THERE: [&str; 6] = [
    "shaders/reverse.wgsl",
    "src/interop/",
    "src/ops/reverse.rs",
    "src/reference/reverse.rs",
    "tests/ops/reverse.rs",
    "tests/reference/reverse.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents that speak of what is there, and their text. The change log speaks of what was.
pub(crate) fn documents() -> Vec<(PathBuf, String)> {
    let docs = root().join("docs").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    paths.extend(
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "benches/peers/README.md"].map(|name| root().join(name)),
    );
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), read_to_string(path).unwrap())).collect()
}

/// A document in two: prose, and the lines of what stands in fences.
pub(crate) fn parts(text: &str) -> (String, Vec<&str>) {
    let (mut prose, mut fenced, mut within) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        match line.trim_start().starts_with("```") {
            true => within = !within,
            false if within => fenced.push(line),
            false => prose += &format!("{line}\n"),
        }
    }
    (prose, fenced)
}

/// What stands between backticks in prose.
pub(crate) fn quoted(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

/// Every file, and every folder with a stroke behind it, from the root; without what is built or kept by tools.
fn repository(folder: &Path, paths: &mut Vec<String>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        if ["target", "out", ".git"].contains(&name.as_str()) || name.ends_with("/target") {
            continue;
        }
        match path.is_dir() {
            true => {
                paths.push(format!("{name}/"));
                repository(&path, paths);
            }
            false => paths.push(name),
        }
    }
}

/// Whether a word is meant as a path of this repository.
fn is_path(word: &str, paths: &[String]) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let from_root = word.split_once('/').is_some_and(|(first, _)| paths.contains(&format!("{first}/")));
    let is_file = ["rs", "wgsl", "sh", "py", "md"].iter().any(|end| word.ends_with(&format!(".{end}")));
    word.chars().all(plain) && (from_root || is_file && !word.starts_with('.'))
}

#[test]
fn every_path_in_the_documents_is_there() {
    let mut paths = Vec::new();
    repository(root(), &mut paths);
    // `arrange.rs` in a sentence about `src/plan/` is enough.
    let exists = |word: &str| {
        let folder = format!("{}/", word.trim_end_matches('/'));
        paths.iter().any(|path| [word, &folder].iter().any(|word| path == word || path.ends_with(&format!("/{word}"))))
    };
    assert!(exists("src/lib.rs") && exists("lib.rs") && exists("src/ops/") && !exists("ib.rs") && !exists("src/lib"));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (document, text) in documents() {
        let (prose, _) = parts(&text);
        for word in quoted(&prose).filter(|word| is_path(word, &paths) && !NOT_THERE.contains(word)) {
            seen += 1;
            if !exists(word) {
                wrong.push(format!("{}: `{word}`", document.display()));
            }
        }
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if link.is_empty() || link.contains("://") {
                continue;
            }
            seen += 1;
            if !document.with_file_name(link).exists() {
                wrong.push(format!("{}: ({link})", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not there: {wrong:#?}");
    assert!(seen > 100, "{seen}");
    for word in NOT_THERE {
        assert!(!exists(word), "{word} is there now");
    }
}

#[test]
fn every_target_and_example_in_the_documents_is_there() {
    let makefile = read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    for (document, text) in documents() {
        let (prose, fenced) = parts(&text);
        for command in quoted(&prose).chain(fenced.iter().copied()) {
            let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "#").collect();
            let says = format!("{}: {command}", document.display());
            if let ["make", target, ..] = words[..] {
                seen += 1;
                assert!(makefile.contains(&format!("\n{target}: ##")), "{says}");
            }
            if let Some(place) = words.iter().position(|word| *word == "--example") {
                seen += 1;
                let name = words[place + 1];
                assert!(name == "NAME" || root().join(format!("examples/{name}.rs")).exists(), "{says}");
            }
        }
    }
    assert!(seen > 5, "{seen}");
}
