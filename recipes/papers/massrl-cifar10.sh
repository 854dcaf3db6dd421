#!/bin/sh
# MA-SSRL on CIFAR-10: its policies and crop against BYOL with SimCLR's, and the ablations.
#
#   recipes/papers/massrl-cifar10.sh cifar10.zip OUT
#
# Interrupted, the same command goes on where it was. OUT holds an encoder (ARM-SEED.safetensors)
# and its figures (ARM-SEED.json) for every arm and seed; FINETUNE=1 adds the rows of 1% and 10% of
# the labels. On a CPU:
#
#   ENCODER=tile WIDTH=2 EPOCHS=30 WARMUP=2 recipes/papers/massrl-cifar10.sh cifar10.zip OUT
set -eu

data=$1
out=$2
mkdir -p "$out"

for seed in ${SEEDS:-0 1 2}; do
  for arm in ${ARMS:-byol massrl byol-uniform massrl-inception}; do
    case $arm in
      byol) policy=simclr-small crop=inception ;;
      byol-uniform) policy=simclr-small crop=uniform ;;
      massrl) policy=massrl-small crop=uniform ;;
      massrl-inception) policy=massrl-small crop=inception ;;
      rand-*) policy=randaugment:${arm#rand-} crop=uniform ;; # rand-N,M, as in rand-2,9
      *) echo "no arm named $arm" >&2; exit 1 ;;
    esac
    encoder=$out/$arm-$seed.safetensors
    mmsr pretrain massrl --images "$data" --out "$encoder" --resume --seed "$seed" \
      --encoder "${ENCODER:-resnet18}" --width "${WIDTH:-1}" --side 32 --cut 0 \
      --policy "$policy" --crop "$crop" --epochs "${EPOCHS:-200}" --warmup "${WARMUP:-10}" \
      --batch "${BATCH:-512}" --rate "${RATE:-1}" --trust "${TRUST:-0.02}" \
      --precision "${PRECISION:-32-true}" --device "${DEVICE:-auto}"
    mmsr probe "$encoder" --data "$data" --out "$out/$arm-$seed.json" --resume \
      --protocol linear --protocol knn --device "${DEVICE:-auto}"
    if [ "${FINETUNE:-}" ]; then
      mmsr probe "$encoder" --data "$data" --out "$out/$arm-$seed-finetune.json" --resume \
        --protocol finetune --labels 1% --labels 10% --device "${DEVICE:-auto}"
    fi
  done
done
