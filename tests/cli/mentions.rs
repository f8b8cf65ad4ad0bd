//! Every command that the documents show is one: its sub-commands and options are those of the program.

use std::collections::BTreeMap;

use super::{omma, text};
use crate::mentions::{documents, parts, quoted};

#[test]
fn the_documents_show_commands_that_exist() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = 0;
    for (document, text_of) in documents() {
        let (prose, fenced) = parts(&text_of);
        for command in quoted(&prose).chain(fenced.iter().copied()) {
            let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "#").collect();
            let ["omma" | "target/debug/omma" | "target/release/omma", subcommand, ref options @ ..] = words[..] else {
                continue;
            };
            let says = format!("{}: {command}", document.display());
            let help = helps.entry(subcommand.into()).or_insert_with(|| {
                let output = omma(&[subcommand, "--help"]);
                assert!(output.status.success(), "{says}: {}", text(&output.stderr));
                text(&output.stdout)
            });
            let known: Vec<&str> = help.split(|c: char| c.is_whitespace() || c == ',').collect();
            for option in options.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(known.contains(&option), "{says}: {subcommand} has no {option}");
            }
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}
