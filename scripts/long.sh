#!/usr/bin/env bash
# Runs what CI leaves out because it takes long: whole frames of real sizes on zcu104.
#
#   MOEVIT_MODELS=DIR scripts/long.sh    with the trained models in DIR; without it, their tests say that they are skipped
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/test.sh --tools
export MOEVIT_TOOLS="${MOEVIT_TOOLS:-$PWD/.tools}"
cargo test --release --test long -- --ignored --nocapture
