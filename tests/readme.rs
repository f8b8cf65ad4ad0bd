//! The README's tables of what is supported: every public operation, choice and network of the code, and nothing else.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

use omma::models::MODELS;

use crate::documents::{root, sources};
use crate::mentions::quoted;

/// The rows of the README's table with this heading: its first cell and the names that its second one quotes.
fn table(heading: &str) -> Vec<(String, Vec<String>)> {
    let readme = read_to_string(root().join("README.md")).unwrap();
    let rows: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with(&format!("| {heading} |")))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(!rows.is_empty(), "{heading}");
    let cells = |row: &str| row.trim_matches('|').split_once('|').map(|(a, b)| (a.trim().to_string(), b.to_string()));
    let row = |row| cells(row).map(|(first, second)| (first, quoted(&second).map(String::from).collect()));
    rows.into_iter().map(|text| row(text).unwrap_or_else(|| panic!("{text}"))).collect()
}

/// The names of the public functions in blocks of these types, with what each gives.
fn functions(folder: &str, types: &[&str]) -> Vec<(String, String)> {
    let mut functions = Vec::new();
    for path in sources(&root().join(folder)) {
        functions.extend(functions_of(&path, types));
    }
    functions
}

/// The type of a block: of `impl<const D: usize> Conv<D> {` it is `Conv`.
fn implemented(line: &str) -> &str {
    let of = line.trim_end_matches(" {").rsplit(' ').next().unwrap_or_default();
    of.split('<').next().unwrap_or_default()
}

fn functions_of(path: &Path, types: &[&str]) -> Vec<(String, String)> {
    let (mut functions, mut wanted) = (Vec::new(), false);
    for line in read_to_string(path).unwrap().lines() {
        if line.starts_with("impl") {
            wanted = !line.contains(" for ") && types.contains(&implemented(line));
        } else if let Some(rest) = line.strip_prefix("    pub fn ").filter(|_| wanted) {
            let name = rest.split(['(', '<']).next().unwrap_or_default().to_string();
            functions.push((name, rest.rsplit("-> ").next().unwrap_or_default().trim_end_matches(" {").to_string()));
        }
    }
    functions
}

/// The name that stands for an operation's forms along other numbers of axes, with given parameters or with places.
fn stem(name: &str, all: &BTreeSet<String>) -> String {
    let name = name.strip_suffix("_with_indices").unwrap_or(name);
    let name = name.strip_suffix("_with").filter(|stem| all.contains(*stem)).unwrap_or(name);
    match name.strip_suffix("1d").or(name.strip_suffix("3d")) {
        Some(stem) => format!("{stem}2d"),
        None => name.into(),
    }
}

#[test]
fn every_operation_is_in_a_row_of_the_readme() {
    let all: BTreeSet<String> = functions("src/ops", &["Tensor", "Graph"]).into_iter().map(|(name, _)| name).collect();
    assert!(all.len() > 100 && all.contains("relu") && all.contains("concat"), "{all:?}");
    let expected: BTreeSet<String> = all.iter().map(|name| stem(name, &all)).collect();
    let named: Vec<String> = table("operations").into_iter().flat_map(|(_, names)| names).collect();
    let once: BTreeSet<String> = named.iter().cloned().collect();
    let missing: Vec<&String> = expected.difference(&once).collect();
    let unknown: Vec<&String> = once.difference(&expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
    assert_eq!(named.len(), once.len(), "some operation is in two rows");
    // As the README says of them.
    for name in expected.iter().filter_map(|name| name.strip_suffix("2d")) {
        assert!(["1d", "2d", "3d"].iter().all(|axes| all.contains(&format!("{name}{axes}"))), "{name}");
    }
}

/// The types of a folder that have methods which change a setting.
fn settings(folder: &str) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    for path in sources(&root().join(folder)) {
        let mut of = String::new();
        for line in read_to_string(path).unwrap().lines() {
            if line.starts_with("impl") {
                of = implemented(line).into();
            } else if line.starts_with("    pub fn ") && line.contains("(mut self") && line.ends_with("-> Self {") {
                types.insert(of.clone());
            }
        }
    }
    types
}

#[test]
fn every_choice_of_a_type_is_in_its_row_of_the_readme() {
    let rows: BTreeSet<String> = table("of").into_iter().map(|(first, _)| first.trim_matches('`').into()).collect();
    let all: BTreeSet<String> = settings("src/ops").union(&settings("src/train")).cloned().collect();
    assert!(all.contains("Optimizer") && all.is_subset(&rows), "{all:?}, of which the README has {rows:?}");
    for (first, names) in table("of") {
        let of = first.trim_matches('`');
        let gives = |name: &str| ["Self", "Result<Self>"].contains(&name);
        let there: BTreeSet<String> = functions("src", &[of])
            .into_iter()
            .filter_map(|(name, result)| (gives(&result) && name != "new").then_some(name))
            .collect();
        assert_eq!(names.iter().cloned().collect::<BTreeSet<_>>(), there, "{of}");
    }
}

#[test]
fn every_network_is_in_the_readme() {
    let named: Vec<String> = table("networks").into_iter().flat_map(|(_, names)| names).collect();
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    assert_eq!(named, MODELS.iter().map(|model| model.name).collect());
}
