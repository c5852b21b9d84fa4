//! Collects the first sentence of each module's documentation, which the exported Verilog shows.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=src");
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src");
    let mut rows = vec![];
    collect(&source, "moevit_hw", &mut rows);
    rows.sort();
    let table: String = rows
        .iter()
        .map(|(module, text)| format!("    ({module:?}, {text:?}),\n"))
        .collect();
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("summaries.rs");
    fs::write(out, format!("&[\n{table}]\n")).expect("the output folder can be written");
}

fn collect(folder: &Path, module: &str, rows: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the source folder can be read") {
        let path = entry.expect("the source folder can be read").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            collect(&path, &format!("{module}::{name}"), rows);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let name = if name == "mod" {
                module.to_owned()
            } else {
                format!("{module}::{name}")
            };
            rows.extend(summary(&text).map(|summary| (name, summary)));
        }
    }
}

/// The first sentence of the `//!` comment, without its links.
fn summary(text: &str) -> Option<String> {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraph: Vec<_> = lines.map(str::trim).take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let sentence = paragraph
        .split_once(". ")
        .map_or(paragraph.as_str(), |(first, _)| first);
    let sentence = sentence.trim_end_matches(['.', ':']);
    (!sentence.is_empty()).then(|| format!("{}.", without_links(sentence)))
}

/// `[text](target)` as `text`.
fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((label, behind)) = link.split_once(']') else {
            break;
        };
        let behind = behind.strip_prefix('(').and_then(|target| target.split_once(')'));
        out += before;
        out += label;
        rest = behind.map_or(&link[label.len() + 1..], |(_, behind)| behind);
    }
    out + rest
}
