/* Demo firmware of the simulated boards: runs on a Cortex-M3 or M4 without any vendor code.
 *
 * `main` counts for ever and calls `blink` (a good breakpoint target) at a pace that SysTick sets.
 * `mode` lets a debugger change what it does:
 *   0  sleep in WFI between ticks (the normal case)
 *   1  count without sleeping
 *   2  also run `ram_work`, a function in RAM (a target for software breakpoints)
 *   3  ask for a system reset
 *   4  touch an address that does not exist (HardFault)
 */
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define AIRCR REGISTER(0xE000ED0Cu)
#ifndef CLOCK_HZ
#define CLOCK_HZ 16000000u
#endif
#define TICKS_PER_SECOND 10u

extern uint32_t stack_top, data_image, data_start, data_end, bss_start, bss_end;

volatile uint32_t counter;
volatile uint32_t ticks;
volatile uint32_t blinks;
volatile uint32_t faults;
volatile uint32_t mode;
volatile uint32_t magic = 0x0CD50B00u;

int main(void);

__attribute__((noinline)) void blink(uint32_t step)
{
    blinks += step;
}

__attribute__((noinline, section(".ramcode"))) uint32_t ram_work(uint32_t rounds)
{
    uint32_t sum = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        sum += round ^ magic;
    }
    return sum;
}

void SysTick_Handler(void)
{
    ticks++;
}

void Fault_Handler(void)
{
    faults++;
    for (;;) {
        __asm volatile("wfi");
    }
}

static void act(uint32_t wanted)
{
    if (wanted == 2) {
        uint32_t (*volatile call)(uint32_t) = ram_work;
        counter += call(3) & 1u;
    } else if (wanted == 3) {
        AIRCR = 0x05FA0004u;
    } else if (wanted == 4) {
        REGISTER(0x60000000u) = 1;
    }
}

int main(void)
{
    uint32_t seen = 0;
    SYST_RVR = CLOCK_HZ / TICKS_PER_SECOND - 1;
    SYST_CVR = 0;
    SYST_CSR = 7;
    for (;;) {
        counter++;
        if (mode != 0) {
            act(mode);
        } else {
            __asm volatile("wfi");
        }
        if (ticks != seen) {
            seen = ticks;
            blink(1);
        }
    }
}

void Reset_Handler(void)
{
    uint32_t *from = &data_image;
    for (uint32_t *to = &data_start; to < &data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = &bss_start; to < &bss_end;) {
        *to++ = 0;
    }
    main();
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, Reset_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
    0, 0, 0, 0, Fault_Handler, Fault_Handler, 0, Fault_Handler, SysTick_Handler,
};
