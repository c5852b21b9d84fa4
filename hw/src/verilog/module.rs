//! The text of one Verilog module behind its name.

use super::body::Body;
use super::elaborate::{AtomInfo, Scope, Ty};
use super::error::{block_error, ExportError};
use super::flow;
use super::kernel::lower_kernel;
use super::leaf::{self, Cell};
use super::names::{verilog_name, NameTable};
use super::print::{declare, dimension};
use super::symbols::Symbols;
use num_bigint::BigUint;
use rust_hdl::core::ast::VerilogBlock;
use rust_hdl::prelude::*;
use std::collections::HashSet;

/// What a child block becomes in its parent.
pub enum Child {
    /// A register of the parent, with its initial value.
    Register(BigUint),
    /// An instance of this module.
    Instance(String),
    /// Nothing: it has neither Verilog nor outputs.
    Absent,
}

/// The text of a block that is described by a kernel.
pub fn kernel_text(scope: &Scope, code: &VerilogBlock, children: &[Child]) -> Result<String, ExportError> {
    let mut symbols = Symbols::of(scope);
    symbols.name_registers(|child| matches!(children[child], Child::Register(_)));
    let groups = lower_kernel(&symbols, code)
        .and_then(|stmts| {
            flow::check(&symbols, &stmts)?;
            flow::group(&symbols, stmts)
        })
        .map_err(|refusal| refusal.at(&scope.path))?;
    symbols.join_outputs(&groups);
    let body = Body::new(&symbols, scope, children).build(groups);
    body.map_err(|refusal| refusal.at(&scope.path))
}

/// The text of a cell whose Verilog was written by hand. Its outputs may be wires throughout.
pub fn leaf_text(scope: &Scope, cell: &Cell, wires_only: bool) -> Result<String, ExportError> {
    let code = cell.body;
    let refuse = |reason: String| block_error(&scope.path, reason);
    if !scope.children.is_empty() {
        return Err(refuse(
            "a block with hand-written Verilog cannot have child blocks".into(),
        ));
    }
    if let Some(word) = leaf::system_verilog_word(code) {
        return Err(refuse(format!(
            "its text uses `{word}`, a keyword of SystemVerilog, as a name"
        )));
    }
    let mut names = NameTable::default();
    let mut registers = HashSet::new();
    let ports = || scope.atoms.iter().filter(|a| a.kind.is_parameter());
    for atom in ports() {
        names
            .take(&verilog_name(&atom.path), &atom.path)
            .map_err(refuse)?;
        let written = atom.kind == AtomKind::OutputParameter && !wires_only;
        if written && leaf::is_procedural(code, atom).map_err(refuse)? {
            registers.insert(atom.path.clone());
        }
    }
    let lines: Vec<_> = leaf::tidy(code)
        .lines()
        .map(|l| format!("    {l}").trim_end().to_owned())
        .collect();
    let shapes = ports()
        .map(|atom| cell.shape(atom))
        .collect::<Result<Vec<_>, _>>()
        .map_err(refuse)?;
    let shaped: Vec<_> = ports().zip(shapes).collect();
    let header = port_list(&shaped, |atom| registers.contains(&atom.path));
    Ok(format!("{header}{}\nendmodule\n", lines.join("\n")))
}

/// The ANSI port list.
pub fn header<'a>(
    ports: impl Iterator<Item = &'a AtomInfo>,
    is_register: impl Fn(&AtomInfo) -> bool,
) -> String {
    let shaped: Vec<_> = ports.map(|atom| (atom, shape(atom.ty))).collect();
    port_list(&shaped, is_register)
}

fn port_list(ports: &[(&AtomInfo, String)], is_register: impl Fn(&AtomInfo) -> bool) -> String {
    let line = |(atom, shape): &(&AtomInfo, String)| {
        let kind = match (atom.kind, is_register(atom)) {
            (AtomKind::InputParameter, _) => "input  wire",
            (_, true) => "output reg ",
            (_, false) => "output wire",
        };
        (format!("{kind} {shape}"), verilog_name(&atom.path))
    };
    let lines = declare(&ports.iter().map(line).collect::<Vec<_>>());
    match lines.is_empty() {
        true => " ();\n".to_owned(),
        false => format!(" (\n{}\n);\n", lines.join(",\n")),
    }
}

/// Sign and dimension of a declaration.
pub fn shape(ty: Ty) -> String {
    format!(
        "{}{}",
        if ty.signed { "signed " } else { "" },
        dimension(ty.width)
    )
}
