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
        if port.is_input {
            sets += &format!("    {}\n", store(port, input_at));
            set_one += &format!("    case {number}: {} break;\n", store(port, 0));
            input_at += words(port.width);
        } else {
            gets += &format!("    {}\n", load(port, output_at));
            output_at += words(port.width);
        }
        get_one += &format!("    case {number}: {} break;\n", load(port, 0));
    }
    format!(
        "{includes}
{PARTS}{trace_file}double sc_time_stamp() {{ return 0; }}
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
        trace_file = if trace { TRACE_FILE } else { "" },
        trace_member = if trace {
            "    TraceFile file;\n    VerilatedVcdC* vcd = nullptr;\n"
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

/// The functions return `errno` of the first failure, 0 for none.
const TRACE_OPEN: &str = "int moevit_trace(void* p, const char* file) {
    Model* m = (Model*)p;
    m->vcd = new VerilatedVcdC(&m->file);
    m->top.trace(m->vcd, 99);
    m->vcd->open(file);
    return m->file.error;
}
int moevit_trace_error(void* p) { return ((Model*)p)->file.error; }
int moevit_trace_close(void* p) {
    Model* m = (Model*)p;
    if (m->vcd) m->vcd->close();
    return m->file.error;
}
";

/// Verilator ends the whole process at the first write that fails; this file remembers why, and drops what follows.
const TRACE_FILE: &str = "struct TraceFile : VerilatedVcdFile {
    int error = 0;
    bool open(const std::string& name) override {
        if (VerilatedVcdFile::open(name)) return true;
        error = errno;
        return false;
    }
    ssize_t write(const char* bytes, ssize_t count) override {
        if (error) return count;
        ssize_t written = VerilatedVcdFile::write(bytes, count);
        if (written >= 0 || errno == EAGAIN || errno == EINTR) return written;
        error = errno;
        return count;
    }
};
";

fn includes(trace: bool) -> String {
    let vcd = if trace {
        "#include \"verilated_vcd_c.h\"\n#include <cerrno>\n"
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

/// Copies between words of one port and its bits in a vector, which may start anywhere.
const PARTS: &str = "static void put(uint32_t* to, unsigned at, unsigned width, const uint32_t* from) {
    for (unsigned i = 0; i < width; i += 32) {
        unsigned n = width - i < 32 ? width - i : 32, low = (at + i) % 32, word = (at + i) / 32;
        uint64_t mask = (n < 32 ? ((uint64_t)1 << n) - 1 : 0xffffffffu) << low, value = (uint64_t)from[i / 32] << low & mask;
        to[word] = (to[word] & ~(uint32_t)mask) | (uint32_t)value;
        if (low + n > 32) to[word + 1] = (to[word + 1] & ~(uint32_t)(mask >> 32)) | (uint32_t)(value >> 32);
    }
}
static void take(const uint32_t* from, unsigned at, unsigned width, uint32_t* to) {
    for (unsigned i = 0; i < width; i += 32) {
        unsigned n = width - i < 32 ? width - i : 32, low = (at + i) % 32, word = (at + i) / 32;
        uint64_t both = from[word] | (low + n > 32 ? (uint64_t)from[word + 1] << 32 : 0);
        to[i / 32] = (uint32_t)(both >> low) & (n < 32 ? (1u << n) - 1 : 0xffffffffu);
    }
}
";

/// Sets a port from the words at `at`.
fn store(port: &Port, at: usize) -> String {
    let member = format!("m->top.{}", class_member(&port.place.name));
    let (offset, width, total) = (port.place.offset, port.width, port.place.total);
    match words(total) {
        1 if width == total => format!("{member} = w[{at}];"),
        2 if width == total => format!("{member} = w[{at}] | (uint64_t)w[{}] << 32;", at + 1),
        1 | 2 => format!(
            "{{ uint32_t v[2] = {{(uint32_t){member}, (uint32_t)((uint64_t){member} >> 32)}}; \
             put(v, {offset}, {width}, w + {at}); {member} = v[0] | (uint64_t)v[1] << 32; }}"
        ),
        _ => format!("put(&{member}[0], {offset}, {width}, w + {at});"),
    }
}

/// Writes a port to the words at `at`.
fn load(port: &Port, at: usize) -> String {
    let member = format!("m->top.{}", class_member(&port.place.name));
    let (offset, width) = (port.place.offset, port.width);
    match words(port.place.total) {
        1 if width == port.place.total => format!("r[{at}] = {member};"),
        1 | 2 => format!(
            "{{ uint32_t v[2] = {{(uint32_t){member}, (uint32_t)((uint64_t){member} >> 32)}}; \
             take(v, {offset}, {width}, r + {at}); }}"
        ),
        _ => format!("take(&{member}[0], {offset}, {width}, r + {at});"),
    }
}
