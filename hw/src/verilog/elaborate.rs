//! Walks a circuit with a probe and collects the tree of its blocks.

use super::error::{block_error, ExportError};
use num_bigint::BigUint;
use rust_hdl::core::type_descriptor::TypeKind;
use rust_hdl::prelude::*;

/// Width and sign of a value, as Rust sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ty {
    pub width: usize,
    pub signed: bool,
}

impl Ty {
    pub const BOOL: Ty = Ty::bits(1);

    pub const fn bits(width: usize) -> Self {
        Ty { width, signed: false }
    }

    pub const fn signed(width: usize) -> Self {
        Ty { width, signed: true }
    }
}

impl std::fmt::Display for Ty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}<{}>",
            if self.signed { "Signed" } else { "Bits" },
            self.width
        )
    }
}

/// A signal or constant of a block.
#[derive(Clone, Debug)]
pub struct AtomInfo {
    /// rust-hdl's name: namespaces and vector indices joined by `$`.
    pub path: String,
    pub kind: AtomKind,
    pub ty: Ty,
    pub descriptor: TypeDescriptor,
    /// A constant's value, or a signal's present one.
    pub value: BigUint,
}

/// A block of the circuit with everything below it.
pub struct Scope {
    pub instance: String,
    pub path: String,
    /// The path of its type, if that was derived here; rust-hdl shows none.
    pub type_path: Option<String>,
    pub atoms: Vec<AtomInfo>,
    pub children: Vec<Scope>,
    pub code: Verilog,
}

impl Scope {
    /// The name of its type.
    pub fn type_name(&self) -> Option<&str> {
        self.type_path.as_ref()?.rsplit("::").next()
    }

    /// The Rust module of its type.
    pub fn rust_module(&self) -> Option<&str> {
        Some(self.type_path.as_ref()?.rsplit_once("::")?.0)
    }
}

/// Collects the tree below `uut`, which becomes the scope `top`.
pub fn elaborate<U: Block>(top: &str, uut: &U) -> Result<Scope, ExportError> {
    let mut collector = Collector::default();
    uut.accept(top, &mut collector);
    match (collector.error, collector.done) {
        (Some(error), _) => Err(error),
        (None, Some(scope)) => Ok(scope),
        (None, None) => Err(block_error(
            top,
            "is not a circuit: it derives neither LogicBlock nor holds one",
        )),
    }
}

/// The prefix of the namespace in which a derived block says its type.
const TYPE_PATH: &str = "type:";

#[derive(Default)]
struct Collector {
    open: Vec<Scope>,
    namespace: Vec<String>,
    done: Option<Scope>,
    error: Option<ExportError>,
}

impl Collector {
    fn fail(&mut self, block: &str, reason: String) {
        self.error.get_or_insert_with(|| block_error(block, reason));
    }
}

impl Probe for Collector {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        let path = match self.open.last() {
            Some(parent) => format!("{}.{name}", parent.path),
            None => name.to_owned(),
        };
        self.open.push(Scope {
            instance: name.to_owned(),
            path,
            type_path: None,
            atoms: vec![],
            children: vec![],
            code: node.hdl(),
        });
    }

    fn visit_start_namespace(&mut self, name: &str, _node: &dyn Block) {
        if let (Some(path), Some(scope)) = (name.strip_prefix(TYPE_PATH), self.open.last_mut()) {
            scope.type_path = Some(path.to_owned());
        }
        self.namespace.push(name.to_owned());
    }

    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let Some(block) = self.open.last().map(|s| s.path.clone()) else {
            return;
        };
        let path = self
            .namespace
            .iter()
            .map(String::as_str)
            .chain([name])
            .collect::<Vec<_>>()
            .join("$");
        match atom_info(path, signal) {
            Ok(atom) => self.open.last_mut().expect("checked above").atoms.push(atom),
            Err(reason) => self.fail(&block, reason),
        }
    }

    fn visit_end_namespace(&mut self, _name: &str, _node: &dyn Block) {
        self.namespace.pop();
    }

    fn visit_end_scope(&mut self, _name: &str, _node: &dyn Block) {
        let Some(scope) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(scope),
            None => self.done = Some(scope),
        }
    }
}

fn atom_info(path: String, signal: &dyn Atom) -> Result<AtomInfo, String> {
    let descriptor = signal.descriptor();
    let ty = Ty {
        width: signal.bits(),
        signed: matches!(descriptor.kind, TypeKind::Signed(_)),
    };
    if ty.width == 0 {
        return Err(format!(
            "signal `{path}` has no bits (an enum of one state, or Bits<0>)"
        ));
    }
    if matches!(
        signal.kind(),
        AtomKind::InOutParameter | AtomKind::OutputPassthrough
    ) {
        return Err(format!(
            "signal `{path}` is bidirectional, which is not supported"
        ));
    }
    let (value, negative) = literal_value(&signal.verilog());
    if negative {
        return Err(format!("signal `{path}` shows a negative bit pattern"));
    }
    Ok(AtomInfo {
        path,
        kind: signal.kind(),
        ty,
        descriptor,
        value,
    })
}

/// The magnitude of a literal and whether it is negative.
///
/// rust-hdl keeps the number private, but prints it.
pub fn literal_value(literal: &VerilogLiteral) -> (BigUint, bool) {
    let text = format!("{literal:x}");
    let digits = text.split_once("'h").map_or(text.as_str(), |(_, digits)| digits);
    let negative = digits.starts_with('-');
    let magnitude = BigUint::parse_bytes(digits.trim_start_matches('-').as_bytes(), 16).unwrap_or_default();
    (magnitude, negative)
}

/// The width with which a literal was built: 1 for `true` and `false` only.
pub fn literal_is_bool(literal: &VerilogLiteral) -> bool {
    format!("{literal:x}").starts_with("1'")
}
