#!/usr/bin/env bash
# Installs Pellucid into a new virtual environment and checks that it works there.
#   scripts/check_versions.sh lowest    the lowest versions that pyproject.toml declares
#   scripts/check_versions.sh newest    the newest ones that it allows
#   scripts/check_versions.sh no-node   type checks on a PATH without Node: pyright brings its own
# TORCH is the torch to install first (2.13.0), PYTHON the interpreter (python3). With KEEP=folder the environment stays there.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:?lowest, newest or no-node}
venv=${KEEP:-$(mktemp -d)}
[ -n "${KEEP:-}" ] || trap 'rm -rf "$venv"' EXIT
"${PYTHON:-python3}" -m venv "$venv"
source "$venv/bin/activate"
export HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE
pip install -q "torch==${TORCH:-2.13.0}"

case $kind in
lowest) pip install -q -c requirements/lowest.txt -r requirements/lowest.txt . ;;
newest) pip install -q --upgrade --upgrade-strategy eager "torch==${TORCH:-2.13.0}" '.[test]' ;;
no-node)
  pip install -q '.[test]'
  bare=$(mktemp -d) # the machine's programs, but node, npm and npx; the environment's own stay
  IFS=: read -ra folders <<<"${PATH#"$venv/bin:"}"
  for folder in "${folders[@]}"; do
    for program in "$folder"/*; do
      case ${program##*/} in node | nodejs | npm | npx) ;; *) ln -s "$program" "$bare/" 2>/dev/null || true ;; esac
    done
  done
  if env PATH="$bare" bash -c 'command -v node'; then echo "Node is still there" >&2 && exit 1; fi
  env PATH="$venv/bin:$bare" pyright
  rm -rf "$bare"
  exit
  ;;
*) echo "lowest, newest or no-node, not $kind" >&2 && exit 2 ;;
esac

pip check
pip list --format=freeze | grep -E '^(torch|diffusers|transformers|accelerate|peft|safetensors|huggingface.hub|numpy|pillow|click)=='
(cd "$(mktemp -d)" && python "$OLDPWD/scripts/smoke.py") # the installed package, not the working tree's
pytest -q -p no:cacheprovider tests/rgba tests/scene tests/apps/test_pictures.py \
  tests/pipelines/test_neighbours.py -m "not slow and not gpu and not weights and not external"
