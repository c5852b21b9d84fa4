//! Shows an expression of rust-hdl's syntax tree to a person, about as it stood in the kernel.

use super::elaborate::literal_value;
use rust_hdl::core::ast::{VerilogExpression as E, VerilogOp, VerilogOpUnary};

pub fn describe(e: &E) -> String {
    match e {
        E::Signal(name) => name.replace('$', "."),
        E::Literal(l) => {
            let (value, negative) = literal_value(l);
            format!("{}{value}", if negative { "-" } else { "" })
        }
        E::Cast(e, width) => format!("bit_cast::<{width}>({})", describe(e)),
        E::Signed(e) => format!("signed_cast({})", describe(e)),
        E::Unsigned(e) => format!("unsigned_cast({})", describe(e)),
        E::Paren(e) => format!("({})", describe(e)),
        E::Binary(l, op, r) => format!("{} {} {}", describe(l), operator(op), describe(r)),
        E::Unary(VerilogOpUnary::Not, e) => format!("!{}", describe(e)),
        E::Unary(VerilogOpUnary::Neg, e) => format!("-{}", describe(e)),
        E::Unary(VerilogOpUnary::All, e) => format!("{}.all()", describe(e)),
        E::Unary(VerilogOpUnary::Any, e) => format!("{}.any()", describe(e)),
        E::Unary(VerilogOpUnary::Xor, e) => format!("{}.xor()", describe(e)),
        E::Index(e, i) => format!("{}.get_bit({})", describe(e), describe(i)),
        E::Slice(e, width, i) => format!("{}.get_bits::<{width}>({})", describe(e), describe(i)),
        E::IndexReplace(e, i, v) => format!("{}.replace_bit({}, {})", describe(e), describe(i), describe(v)),
    }
}

pub fn operator(op: &VerilogOp) -> &'static str {
    match op {
        VerilogOp::Add => "+",
        VerilogOp::Sub => "-",
        VerilogOp::Mul => "*",
        VerilogOp::LogicalAnd => "&&",
        VerilogOp::LogicalOr => "||",
        VerilogOp::BitXor => "^",
        VerilogOp::BitAnd => "&",
        VerilogOp::BitOr => "|",
        VerilogOp::Shl => "<<",
        VerilogOp::Shr => ">>",
        VerilogOp::Eq => "==",
        VerilogOp::Lt => "<",
        VerilogOp::Le => "<=",
        VerilogOp::Ne => "!=",
        VerilogOp::Ge => ">=",
        VerilogOp::Gt => ">",
    }
}
