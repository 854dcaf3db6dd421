#!/bin/sh
# The codec's ablations (Fig. 6 of the paper) at a size that a CPU affords, and their table.
#
#   recipes/papers/resgdn-ablation.sh IMAGES OUT
#
# STEPS, BATCH, PATCH and RATE take the place of the recipes' own, WIDTHS that of the networks'. A
# step decodes each patch at one of the rates. Interrupted, the same command goes on where it was.
set -eu

images=$1 out=$2
mkdir -p "$out"
here=$(dirname "$0")
for variant in 8ch 4ch resrelu nores nogdn; do
  recipe=$out/$variant.toml
  sed -e '/^\[training\]/,$d' \
    -e "s/^options = { /options = { rates = \"one\", widths = ${WIDTHS:-[16, 32, 64, 128]}, /" \
    "$here/resgdn-$variant.toml" > "$recipe"
  cat >> "$recipe" <<EOF
[training]
steps = ${STEPS:-500}
batch = ${BATCH:-4}
patch = ${PATCH:-176}
rate = ${RATE:-3e-4}
warmup = 50
clip = 1.0
ema = 0.99
save_every = 50
EOF
  if [ ! -f "$out/$variant/scores.json" ]; then
    mmsr train "$recipe" --images "$images" --out "$out/$variant" \
      $(test -d "$out/$variant" && echo --resume)
  fi
done
python3 - "$out" <<'EOF'
import json, pathlib, sys
for variant in ("8ch", "4ch", "resrelu", "nores", "nogdn"):
    scores = json.loads((pathlib.Path(sys.argv[1]) / variant / "scores.json").read_text())
    for point in scores["qualities"]:
        if point["bits"] in (2, 4, 6, 8):
            print("{:8s} B={bits} {bpp:.3f} bpp {psnr:.2f} dB {ms_ssim:.4f}".format(variant, **point))
EOF
