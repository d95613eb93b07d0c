#!/usr/bin/env bash
# Compares the kernel on this x86-64 machine with the same kernel on 64-bit Arm under emulation: all checksums must be equal.
# Needs a cross compiler and qemu's user mode (Debian: apt-get install g++-aarch64-linux-gnu qemu-user).
set -euo pipefail
cd "$(dirname "$0")/../.."
kernel=src/kernel
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
flags=(-std=c++20 -O2 -ffp-contract=off -fwrapv -fno-math-errno -Wno-psabi -I "$kernel")
common=(tools/cross_check/check.cpp tools/cross_check/text.cpp "$kernel/engine.cpp" "$kernel/text.cpp" "$kernel/targets.cpp"
  "$kernel/target_plain.cpp" "$kernel/text_target_plain.cpp")

aarch64-linux-gnu-g++ "${flags[@]}" -DSMALTI_NEON=1 -static "${common[@]}" "$kernel/target_neon.cpp" "$kernel/text_target_neon.cpp" -o "$out/arm" -pthread
for part in "" text_; do
  g++ "${flags[@]}" -mavx2 -c "$kernel/${part}target_avx2.cpp" -o "$out/${part}avx2.o"
  g++ "${flags[@]}" -mavx512{f,bw,dq,vl,vnni} -c "$kernel/${part}target_avx512.cpp" -o "$out/${part}avx512.o"
done
g++ "${flags[@]}" -DSMALTI_X86=1 "${common[@]}" "$out"/*.o -o "$out/x86" -pthread

echo "64-bit Arm (emulated)"
qemu-aarch64 "$out/arm" | tee "$out/results"
echo "this machine"
"$out/x86" | tee -a "$out/results"
[ "$(awk '{ print $3, $5 }' "$out/results" | sort -u | wc -l)" = 1 ] && echo "all equal"
