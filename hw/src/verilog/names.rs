//! Names: legal Verilog identifiers, and what paths and instances become.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

/// The keywords of Verilog-2005.
const VERILOG_KEYWORDS: &str =
    "always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign \
    default defparam design disable edge else end endcase endconfig endfunction endgenerate \
    endmodule endprimitive endspecify endtable endtask event for force forever fork function \
    generate genvar highz0 highz1 if ifnone incdir include initial inout input instance integer join \
    large liblist library localparam macromodule medium module nand negedge nmos nor noshowcancelled \
    not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup \
    pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat rnmos rpmos rtran \
    rtranif0 rtranif1 scalared showcancelled signed small specify specparam strong0 strong1 supply0 \
    supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg unsigned use \
    uwire vectored wait wand weak0 weak1 while wire wor xnor xor";

/// What SystemVerilog adds; many tools read every file as SystemVerilog.
const SYSTEM_VERILOG_KEYWORDS: &str =
    "accept_on alias always_comb always_ff always_latch assert assume before bind bins binsof bit \
    break byte chandle checker class clocking const constraint context continue cover covergroup \
    coverpoint cross dist do endchecker endclass endclocking endgroup endinterface endpackage \
    endprogram endproperty endsequence enum eventually expect export extends extern final \
    first_match foreach forkjoin global iff ignore_bins illegal_bins implements implies import \
    inside int interconnect interface intersect join_any join_none let local logic longint matches \
    modport nettype new nexttime null package packed priority program property protected pure rand \
    randc randcase randsequence ref reject_on restrict return s_always s_eventually s_nexttime \
    s_until s_until_with sequence shortint shortreal soft solve static string strong struct super \
    sync_accept_on sync_reject_on tagged this throughout timeprecision timeunit type typedef union \
    unique unique0 until until_with untyped var virtual void wait_order weak wildcard with within";

/// Whether a name can stand in Verilog as it is.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let head = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    head && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') && !is_keyword(name)
}

/// A rust-hdl path (`rows$3$out`) as a Verilog name (`rows_3_out`); `release` becomes `release_`.
pub(crate) fn verilog_name(path: &str) -> String {
    let name = path.replace('$', "_");
    match is_keyword(&name) {
        true => name + "_",
        false => name,
    }
}

pub(crate) fn is_keyword(word: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| VERILOG_KEYWORDS.split_whitespace().collect());
    SET.contains(word) || is_system_verilog(word)
}

/// Whether only SystemVerilog takes this word for a keyword.
pub(crate) fn is_system_verilog(word: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> =
        LazyLock::new(|| SYSTEM_VERILOG_KEYWORDS.split_whitespace().collect());
    SET.contains(word)
}

/// The fallback module name of an instance: `score_fifo$3` becomes `ScoreFifo`.
pub(crate) fn camel_case(instance: &str) -> String {
    let parts = instance
        .split('$')
        .filter(|p| !p.chars().all(|c| c.is_ascii_digit()));
    let words = parts.flat_map(|p| p.split('_')).filter(|w| !w.is_empty());
    words.map(capitalised).collect()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|c| c.to_ascii_uppercase())
        .into_iter()
        .chain(chars)
        .collect()
}

/// The names of one Verilog module; each may be taken once.
#[derive(Default)]
pub(crate) struct NameTable(BTreeMap<String, String>);

impl NameTable {
    /// Takes `name` for the rust-hdl object `owner`.
    pub fn take(&mut self, name: &str, owner: &str) -> Result<(), String> {
        if !is_identifier(name) {
            return Err(format!(
                "`{owner}` would be named `{name}`, which is not a usable Verilog name"
            ));
        }
        match self.0.insert(name.to_owned(), owner.to_owned()) {
            Some(other) => Err(format!(
                "`{other}` and `{owner}` would both be named `{name}` in Verilog"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_and_odd_characters_are_no_identifiers() {
        for bad in ["wire", "logic", "byte", "a$b", "3x", "", "a-b"] {
            assert!(!is_identifier(bad), "{bad}");
        }
        for good in ["clock", "a_3", "_x", "Column_r32"] {
            assert!(is_identifier(good), "{good}");
        }
    }

    #[test]
    fn keywords_get_an_underscore() {
        assert_eq!(verilog_name("release"), "release_");
        assert_eq!(verilog_name("rows$3$release"), "rows_3_release");
        assert!(is_system_verilog("inside") && !is_system_verilog("release"));
    }

    #[test]
    fn instances_give_camel_case_modules() {
        assert_eq!(camel_case("score_fifo$3"), "ScoreFifo");
        assert_eq!(camel_case("pe$0$12"), "Pe");
    }

    #[test]
    fn taking_a_name_twice_names_both_owners() {
        let mut names = NameTable::default();
        names.take("a_0", "a$0").unwrap();
        let message = names.take("a_0", "a_0").unwrap_err();
        assert!(message.contains("`a$0` and `a_0`"), "{message}");
    }
}
