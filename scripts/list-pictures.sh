#!/usr/bin/env bash
# Names the pictures that a training run left in a folder, each with what it shows.
#
#   scripts/list-pictures.sh out/lenet5
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi

show() { if [ -e "$dir/$1" ]; then printf '  %-36s %s\n' "$dir/$1" "$2"; fi; }

dir=$1
printf '\nPictures to look at:\n'
show curves.png "loss and accuracy, epoch by epoch"
show confusion.png "which digit is taken for which"
show filters.png "the kernels of the first layer"
show feature_maps.png "one digit on its way through each layer"
show mistakes.png "the misread digits, each with the guess"
printf 'The numbers are in %s, the trained network in %s.\n' "$dir/metrics.csv" "$dir/model.safetensors"
