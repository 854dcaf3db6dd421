#!/bin/sh
# Five routers over the same experts: texture, MA-SSRL's encoder (with a forest or a network), both,
# and a supervised network on pixels as the upper reference.
#
#   recipes/papers/massrl-routing.sh RUN TILE IMAGES OUT PHOTOGRAPHS...
#
# RUN is a finished run of recipes/compact-x4.toml, IMAGES what it was trained on, TILE an encoder
# of mmsr pretrain, PHOTOGRAPHS folders of HR images to judge on. Experts are not trained again.
# ARMS names others, too: codelength and texture-codelength, with CODEC as the table of its options,
# CODEC='{ weights = "runs/resgdn/weights.pt", widths = [24, 48, 96, 192] }'.
# Interrupted, the same command goes on where it was. OUT holds ARM.toml, the run ARM, ARM.bundle
# and ARM-FOLDER.json for every arm.
set -eu

run=$1 tile=$2 images=$3 out=$4
shift 4
mkdir -p "$out"

recipe=$(dirname "$0")/../compact-x4.toml
rest=$(sed '/^\[router\]/,/^\[routes\]/{/^\[routes\]/!d}' "$recipe")
texture=$(sed -n '/^\[router.extractor\]/,/^\]/p' "$recipe")
forest=$(sed -n '/^\[router\]/,/^$/{/^classifier/p}' "$recipe")
network='classifier = { name = "network-gain" }'
few="{ name = \"massrl\", options = { weights = \"$tile\", components = 16 } }"
all="{ name = \"massrl\", options = { weights = \"$tile\" } }"
length="{ name = \"codelength\", options = ${CODEC:-} }"
pixels='{ name = "pixels", options = { side = 32 } }'

for arm in ${ARMS:-texture massrl massrl-network both pixels}; do
  case $arm in
    texture) router=$(printf '%s\n\n%s' "$forest" "$texture") ;;
    massrl) router=$(printf '%s\nextractor = %s' "$forest" "$few") ;;
    massrl-network) router=$(printf '%s\nextractor = %s' "$network" "$all") ;;
    both) router=$(printf '%s\nbeside = [%s]\n\n%s' "$forest" "$few" "$texture") ;;
    codelength) router=$(printf '%s\nextractor = %s' "$forest" "$length") ;;
    texture-codelength) router=$(printf '%s\nbeside = [%s]\n\n%s' "$forest" "$length" "$texture") ;;
    pixels) router=$(printf '%s\nextractor = %s' "$network" "$pixels") ;;
    *) echo "no arm named $arm" >&2; exit 1 ;;
  esac
  printf '%s\n\n[router]\n%s\n' "$rest" "$router" > "$out/$arm.toml"
  if [ ! -d "$out/$arm" ]; then
    cp -r "$run" "$out/$arm.part"
    mv "$out/$arm.part" "$out/$arm"
  fi
  if [ ! -d "$out/$arm.bundle" ]; then
    mmsr train "$out/$arm.toml" --images "$images" --out "$out/$arm" --resume
    mmsr export "$out/$arm" --onnx --out "$out/$arm.bundle"
  fi
  for folder in "$@"; do
    figures=$out/$arm-$(basename "$folder").json
    if [ ! -f "$figures" ]; then
      mmsr evaluate --model "$out/$arm.bundle" --images "$folder" --json "$figures.part"
      mv "$figures.part" "$figures"
    fi
  done
done
