/* What the real GDB steps through, and where it restores a megabyte to. */
#include <stdio.h>

unsigned char memory[1 << 20];

__attribute__((noinline)) void never(void) { __asm__ volatile(""); }

__attribute__((noinline)) unsigned work(unsigned n) {
    unsigned sum = 0;
    for (unsigned i = 0; i < 16; i++) sum += memory[(n + i) & 0xfffff] + i * n;
    return sum;
}

int main(int argc, char **argv) {
    (void)argv;
    unsigned n = 0;
    if (argc > 1000) never();
    for (;;) memory[n & 0xfffff] = (unsigned char)work(n), n++;
}
