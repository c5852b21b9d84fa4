//! Exports circuits to Verilog-2005 that means exactly what they mean in Rust.
//!
//! ```text
//! circuit -- probe --> elaborate --> Scope tree
//!                                      | for each block
//!            symbols, kernel, lower: kernel syntax tree --> ir (every width and sign known)
//!            flow: no latch, no old value, independent groups
//!            split, collapse, fuse, vector: the form that reads best
//!            body (place, logic, declarations, connect), print: text --> design: one module for each distinct text
//! ```
//!
//! rust-hdl's own generator is not used: its text differs from its simulation wherever Verilog's
//! widening rules meet literals, casts and signs. Here every number is sized, every operator works at
//! its own width, every sign is explicit, and what cannot be expressed exactly is refused with an
//! [`ExportError`] that names the block and the expression.
//!
//! Conventions that circuits follow:
//! - a module is called as its block's type (with a number where one type has several texts), without one as its first instance;
//! - hand-written cells follow [`leaf`](self::leaf);
//! - signals whose paths differ only in their indices become one [vector](self::vector);
//! - paths `rows$3$out` become names `rows_3_out`; two paths that become one name are an error.

mod body;
mod collapse;
mod connect;
mod declarations;
mod describe;
mod design;
mod elaborate;
mod error;
mod flow;
mod fuse;
mod ir;
mod kernel;
pub mod leaf;
pub mod lint;
mod logic;
mod lower;
mod module;
mod names;
pub mod package;
mod path;
mod place;
mod print;
pub mod shell;
mod shell_ports;
mod split;
mod statements;
mod symbols;
mod text;
mod vector;

pub use design::{export, Design, Module, Port};
pub use error::ExportError;
pub use package::{accelerator, export_files, shelled};
pub use shell::{shell, ShellInfo};
pub use vector::Place;

#[cfg(test)]
mod tests;
