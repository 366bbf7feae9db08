#!/bin/sh
# Kernel maths that is written once must be what a GPU's compiler takes too: clang turns it into PTX, with no CUDA installed.
#
#   tests/device_maths.sh CLANG SOURCE_FOLDER      exits 77 (skipped) where the compiler has no NVPTX back end
"$1" --print-targets | grep -q nvptx64 || { echo "skipped: $1 has no NVPTX back end"; exit 77; }
exec "$1" -std=c++20 -O2 -x cuda --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=sm_80 -Wno-unknown-cuda-version \
  -Wall -Wextra -Werror -I"$2/src" -S -o /dev/null "$2/tests/device_maths.cu"
