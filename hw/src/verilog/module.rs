//! The text of one Verilog module behind its name.

use super::body::Body;
use super::elaborate::{AtomInfo, Scope, Ty};
use super::error::{block_error, ExportError};
use super::flow;
use super::kernel::lower_kernel;
use super::leaf::{self, Cell};
use super::names::NameTable;
use super::symbols::Symbols;
use super::text::{declare, dimension};
use super::vector::{port_places, Place};
use num_bigint::BigUint;
use rust_hdl::core::ast::VerilogBlock;
use rust_hdl::prelude::*;

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
    let mut ports = ports(scope.atoms.iter());
    for port in &mut ports {
        names.take(&port.place.name, &port.atom.path).map_err(refuse)?;
        if port.atom.kind == AtomKind::OutputParameter && !wires_only {
            port.is_register = leaf::is_procedural(code, &port.place.name).map_err(refuse)?;
        }
        if let Some(shape) = cell.shape(port).map_err(refuse)? {
            port.shape = shape;
        }
    }
    Ok(format!("{}{}endmodule\n", port_list(&ports), leaf::tidy(code)))
}

/// A port as the module declares it.
pub struct PortLine<'a> {
    /// Its first element, if it is a vector.
    pub atom: &'a AtomInfo,
    pub place: Place,
    pub is_register: bool,
    pub shape: String,
}

/// The ports of a block, vectors once, all as wires.
pub fn ports<'a>(atoms: impl Iterator<Item = &'a AtomInfo> + Clone) -> Vec<PortLine<'a>> {
    let atoms = atoms.filter(|atom| atom.kind.is_parameter());
    let places = port_places(atoms.clone());
    let line = |(atom, place): (&'a AtomInfo, Place)| PortLine {
        is_register: false,
        shape: match place.total == atom.ty.width {
            true => shape(atom.ty),
            false => dimension(place.total),
        },
        atom,
        place,
    };
    let lines = atoms.zip(places).map(line);
    lines.filter(|line| line.place.offset == 0).collect()
}

/// The ANSI port list.
pub fn port_list(ports: &[PortLine]) -> String {
    let line = |port: &PortLine| {
        let kind = match (port.atom.kind, port.is_register) {
            (AtomKind::InputParameter, _) => "input  wire",
            (_, true) => "output reg ",
            (_, false) => "output wire",
        };
        (format!("{kind} {}", port.shape), port.place.name.clone())
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
