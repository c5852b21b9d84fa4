//! Names: the hint by which a circuit names its module, and legal Verilog identifiers.

use rust_hdl::prelude::*;
use std::collections::BTreeMap;

/// The prefix under which a [`ModuleName`] shows itself to a probe.
pub(crate) const NAME_HINT: &str = "module:";

/// A circuit's Verilog module name, as a field of the circuit.
///
/// rust-hdl shows a probe no type names, so a circuit that wants a good one carries it:
/// `name: ModuleName::new(format!("SystolicColumn_r{rows}"))`. The field has no signals and costs
/// nothing; its type hides all from the simulation. Everything that distinguishes two circuits of
/// one type (a run-time size, a table) belongs into the name, because two different modules of the
/// same name are an error. Without a hint the module is named after its first instance.
#[derive(Clone, Debug, Default)]
pub struct ModuleName(String);

impl ModuleName {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

impl Logic for ModuleName {
    fn update(&mut self) {}
}

impl Block for ModuleName {
    fn connect_all(&mut self) {}

    fn update_all(&mut self) {}

    fn has_changed(&self) -> bool {
        false
    }

    fn accept(&self, _name: &str, probe: &mut dyn Probe) {
        if !self.0.is_empty() {
            // A namespace is the one thing that every other probe takes without effect.
            probe.visit_start_namespace(&format!("{NAME_HINT}{}", self.0), self);
            probe.visit_end_namespace(&self.0, self);
        }
    }
}

/// Words that a Verilog-2005 or SystemVerilog tool reads as keywords.
const KEYWORDS: &str = "accept_on alias always always_comb always_ff always_latch and assert assign assume \
    automatic before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle \
    checker class clocking cmos config const constraint context continue cover covergroup coverpoint cross \
    deassign default defparam design disable dist do edge else end endcase endchecker endclass endclocking \
    endconfig endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram \
    endproperty endsequence endspecify endtable endtask enum event eventually expect export extends extern \
    final first_match for force foreach forever fork forkjoin function generate genvar global highz0 highz1 \
    if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside \
    instance int integer interconnect interface intersect join join_any join_none large let liblist library \
    local localparam logic longint macromodule matches medium modport module nand negedge nettype new \
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge \
    primitive priority program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect \
    pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg reject_on release \
    repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until \
    s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify \
    specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on \
    sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri \
    tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped use \
    uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor \
    xnor xor";

/// Whether a name can stand in Verilog as it is.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let head = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    head && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.split_whitespace().any(|k| k == name)
}

/// A rust-hdl path (`rows$3$out`) as a Verilog name (`rows_3_out`).
pub(crate) fn verilog_name(path: &str) -> String {
    path.replace('$', "_")
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
