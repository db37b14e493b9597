#!/bin/sh
# Builds tasks.elf, the demo firmware with three tasks, into DIR (default: beside this file). Needs gcc-arm-none-eabi.
# The debug information names only relative paths.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "${1:-$here}" && pwd)
cd "$here/../../ocdsup/sim/firmware"
arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -ffreestanding -nostdlib -nostartfiles -O1 -g -gno-record-gcc-switches -fno-common \
    "-fdebug-prefix-map=$(pwd)=." "-ffile-prefix-map=$(pwd)=." "-fdebug-prefix-map=$here=." "-ffile-prefix-map=$here=." \
    -Wl,--build-id=none -T blink.ld blink.c "$here/tasks.c" -o "$out/tasks.elf"
