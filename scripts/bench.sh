#!/usr/bin/env bash
# Measures how fast the simulations are on this computer: frames of the demonstration, compiler, export.
#
#   MOEVIT_MODELS=DIR scripts/bench.sh    ends with eight frames of the trained M3ViT-T in DIR, in Verilator
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/test.sh --tools
export MOEVIT_TOOLS="$PWD/.tools"
cargo bench --bench simulate

readonly MODEL="${MOEVIT_MODELS:-}/m3vit_t_camvid"
if [ ! -f "$MODEL/model.safetensors" ]; then
    echo "M3ViT-T: skipped, MOEVIT_MODELS names no folder that holds m3vit_t_camvid/model.safetensors"
    exit 0
fi
program=$(mktemp -d)/m3vit_t.moevit
trap 'rm -r "$(dirname "$program")"' EXIT
cargo build --release --quiet
target/release/moevit compile --arch sim/architectures/m3vit_t.toml --weights "$MODEL/model.safetensors" \
    --calibration "$MODEL/calibration" --config zcu104 --out "$program"
target/release/moevit run --program "$program" --image "$MODEL/images/test_000.png" --engine verilator
target/release/moevit stream --program "$program" --images "$MODEL/images" --tasks 0,1 --engine verilator
