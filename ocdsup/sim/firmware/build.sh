#!/bin/sh
# Builds blink-f4.elf/.bin (STM32F407, F411) and blink-f1.elf/.bin (STM32F103) into DIR (default: beside this file).
# Needs gcc-arm-none-eabi. The debug information names only relative paths.
set -eu
out=$(cd "${1:-$(dirname "$0")}" && pwd)
cd "$(dirname "$0")"
common="-mthumb -ffreestanding -nostdlib -nostartfiles -std=c11 -Wall -Wextra -Werror -O1 -g -gno-record-gcc-switches
  -fno-common -fno-unwind-tables -fno-asynchronous-unwind-tables -fdebug-prefix-map=$(pwd)=. -ffile-prefix-map=$(pwd)=.
  -Wl,--build-id=none -T blink.ld"
# shellcheck disable=SC2086
arm-none-eabi-gcc $common -mcpu=cortex-m4 -DCLOCK_HZ=16000000u blink.c -o "$out/blink-f4.elf"
# shellcheck disable=SC2086
arm-none-eabi-gcc $common -mcpu=cortex-m3 -DCLOCK_HZ=8000000u blink.c -o "$out/blink-f1.elf"
for image in blink-f4 blink-f1; do
    arm-none-eabi-objcopy -O binary "$out/$image.elf" "$out/$image.bin"
done
