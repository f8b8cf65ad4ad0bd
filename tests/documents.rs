//! Documents that are made from the code, so that they cannot say what is not there.
//!
//! `OMMA_UPDATE=1 cargo test --features cli documents` writes them anew.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use omma::models::MODELS;
use omma::{FAMILIES, Graph, Mode};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The Rust files of a folder and of those in it, in order.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => files.extend(sources(&path)),
            false => files.extend(path.extension().is_some_and(|extension| extension == "rs").then_some(path)),
        }
    }
    files
}

/// The public methods of `Tensor` and `Graph` in a file, with the first sentence that is said of each.
fn methods(path: &Path) -> Vec<(String, String)> {
    let text = read_to_string(path).unwrap();
    let mut methods = Vec::new();
    let (mut of, mut said) = (None, String::new());
    for line in text.lines() {
        if line.starts_with("impl") {
            of = match line.trim_end_matches(" {") {
                "impl<'g> Tensor<'g>" => Some(""),
                "impl Graph" => Some("Graph::"),
                _ => None,
            };
        } else if let Some(more) = line.strip_prefix("    /// ") {
            said += if said.is_empty() { "" } else { " " };
            said += more;
        } else if let (Some(of), Some(rest)) = (of, line.strip_prefix("    pub fn ")) {
            let name = rest.split(['(', '<']).next().unwrap();
            let sentence = first_sentence(&said);
            assert!(!sentence.is_empty(), "nothing is said of {name} in {}", path.display());
            methods.push((format!("{of}{name}"), sentence));
            said.clear();
        } else if !line.starts_with("    ///") && !line.starts_with("    #[") {
            said.clear();
        }
    }
    methods
}

/// The first sentence, without links into the documentation and as a table's cell.
fn first_sentence(text: &str) -> String {
    let mut sentence = String::new();
    for part in text.split_inclusive(". ") {
        sentence += part;
        // "et al." ends none.
        if !part.ends_with("al. ") {
            break;
        }
    }
    let mut plain = sentence.trim().trim_end_matches('.').replace('|', "\\|");
    while let Some(start) = plain.find("](") {
        let end = plain[start..].find(')').map_or(plain.len(), |end| start + end + 1);
        plain.replace_range(start..end, "]");
    }
    plain.replace("[`Tensor::", "`").replace("[`", "`").replace("`]", "`")
}

/// Compares a document with what it should be, or writes it.
fn check(name: &str, expected: &str) {
    let path = root().join(name);
    if std::env::var("OMMA_UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, expected).unwrap();
    }
    let actual = read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{name} is not what the code says; OMMA_UPDATE=1 writes it anew");
}

#[test]
fn operations_are_those_of_the_code() {
    let mut text = String::from(
        "# Operations\n\nEvery method of `Tensor` or `Graph` that adds an operation to a graph, as the code documents it. All that have a derivative have\n\
         a gradient; `omma selftest` runs each on every kernel of your adapter. An axis of 0 is an error when the graph is built\n\
         (tensors without elements that ONNX files have are computed on the host). Made from the sources by a test.\n",
    );
    for path in sources(&root().join("src/ops")) {
        let methods = methods(&path);
        if methods.is_empty() {
            continue;
        }
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        text += &format!("\n## [`{file}`](../{file})\n\n| method | |\n|---|---|\n");
        methods.iter().for_each(|(name, said)| text += &format!("| `{name}` | {said} |\n"));
    }
    // A family that is tried has a place in the document.
    for family in FAMILIES {
        let file = format!("src/ops/{}.rs", family.stem);
        assert!(root().join(&file).is_file(), "{file}");
    }
    check("docs/operations.md", &text);
}

#[test]
fn operators_of_onnx_are_those_of_the_code() {
    let mut text = String::from(
        "# ONNX's operators\n\nThose that files may use, with the rules of operator sets 1 to 25; made from the code by a test. What is not\n\
         done of one is an error that names the node; [onnx-conformance.md](onnx-conformance.md) has ONNX's own tests of them.\n\n",
    );
    for operator in omma::onnx::operators() {
        let page = format!("https://onnx.ai/onnx/operators/onnx__{operator}.html");
        text += &format!("- [{operator}]({page})\n");
    }
    check("docs/onnx-operators.md", &text);
}

#[test]
fn networks_are_those_of_the_code() {
    let mut text = String::from(
        "# Networks\n\nWhat `omma models` lists: inputs and classes of the papers. Made from the code by a test.\n\n\
         | name | input | classes | parameters | multiply-adds |\n|---|---|---|---|---|\n",
    );
    for model in MODELS {
        let graph = Graph::new(Mode::Evaluation);
        model.add_to(&graph, 1, model.classes).unwrap();
        let work: u64 = graph.layers().iter().map(|layer| layer.multiply_adds).sum();
        text += &format!(
            "| `{}` | {} | {} | {} | {work} |\n",
            model.name,
            model.input.batch(1),
            model.classes,
            graph.parameter_count()
        );
    }
    check("docs/networks.md", &text);
}
