//! The C++ between a Verilator class and this process.

use super::ports::words;
use crate::verilog::Port;

/// Verilator's class for the model.
pub const PREFIX: &str = "Vmodel";

/// The `extern "C"` functions `moevit_*` of a model with these ports.
pub fn shim(ports: &[Port], trace: bool) -> String {
    let (mut sets, mut gets) = (String::new(), String::new());
    let (mut set_one, mut get_one) = (String::new(), String::new());
    let (mut input_at, mut output_at) = (0, 0);
    for (number, port) in ports.iter().enumerate() {
        let name = format!("m->top.{}", class_member(&port.name));
        if port.is_input {
            sets += &format!("    {}\n", store(&name, port.width, input_at));
            set_one += &format!("    case {number}: {} break;\n", store(&name, port.width, 0));
            input_at += words(port.width);
        } else {
            gets += &format!("    {}\n", load(&name, port.width, output_at));
            output_at += words(port.width);
        }
        get_one += &format!("    case {number}: {} break;\n", load(&name, port.width, 0));
    }
    format!(
        "{includes}
double sc_time_stamp() {{ return 0; }}
struct Model {{
    VerilatedContext context;
    {PREFIX} top;
    uint64_t time = 0;
{trace_member}    Model() : top(prepare(&context)) {{}}
    static VerilatedContext* prepare(VerilatedContext* c) {{
        c->randReset(2);
        c->randSeed(20);
{trace_on}        return c;
    }}
    void eval() {{
        top.eval();
        time += 5;
        context.time(time);
{trace_dump}    }}
}};
extern \"C\" {{
void* moevit_new() {{ return new Model; }}
void moevit_delete(void* p) {{ Model* m = (Model*)p; {trace_close}m->top.final(); delete m; }}
void moevit_eval(void* p) {{ ((Model*)p)->eval(); }}
void moevit_step(void* p, const uint32_t* w, uint32_t* r) {{
    Model* m = (Model*)p;
{sets}    m->eval();
{gets}}}
void moevit_set(void* p, uint32_t port, const uint32_t* w) {{
    Model* m = (Model*)p;
    switch (port) {{
{set_one}    }}
}}
void moevit_get(void* p, uint32_t port, uint32_t* r) {{
    Model* m = (Model*)p;
    switch (port) {{
{get_one}    }}
}}
{trace_open}}}
",
        includes = includes(trace),
        trace_member = if trace {
            "    VerilatedVcdC* vcd = nullptr;\n"
        } else {
            ""
        },
        trace_on = if trace {
            "        c->traceEverOn(true);\n"
        } else {
            ""
        },
        trace_dump = if trace {
            "        if (vcd) vcd->dump(time);\n"
        } else {
            ""
        },
        trace_close = if trace {
            "if (m->vcd) { m->vcd->close(); delete m->vcd; } "
        } else {
            ""
        },
        trace_open = if trace { TRACE_OPEN } else { "" },
    )
}

const TRACE_OPEN: &str = "void moevit_trace(void* p, const char* file) {
    Model* m = (Model*)p;
    m->vcd = new VerilatedVcdC;
    m->top.trace(m->vcd, 99);
    m->vcd->open(file);
}
";

fn includes(trace: bool) -> String {
    let vcd = if trace {
        "#include \"verilated_vcd_c.h\"\n"
    } else {
        ""
    };
    format!("#include \"{PREFIX}.h\"\n#include \"verilated.h\"\n{vcd}#include <cstdint>")
}

/// Verilator's C++ name of a port: it escapes double underscores, and marks what it reserves for C++.
fn class_member(name: &str) -> String {
    if name == "interrupt" {
        return format!("__SYM__{name}");
    }
    name.replace("__", "___05F")
}

fn store(member: &str, width: usize, at: usize) -> String {
    match words(width) {
        1 => format!("{member} = w[{at}];"),
        2 => format!("{member} = w[{at}] | (uint64_t)w[{}] << 32;", at + 1),
        n => (0..n)
            .map(|i| format!("{member}[{i}] = w[{}];", at + i))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn load(member: &str, width: usize, at: usize) -> String {
    match words(width) {
        1 => format!("r[{at}] = {member};"),
        2 => format!(
            "r[{at}] = (uint32_t){member}; r[{}] = (uint32_t)({member} >> 32);",
            at + 1
        ),
        n => (0..n)
            .map(|i| format!("r[{}] = {member}[{i}];", at + i))
            .collect::<Vec<_>>()
            .join(" "),
    }
}
