/* From reset to main, on a Cortex-M4: what a C program may rely on, and nothing else. */
#include <stdint.h>

#include "board.h"

extern uint32_t data_start[], data_end[], bss_start[], bss_end[], stack_end[];
extern const uint32_t data_in_flash[];

int main(void);
void reset(void);
static void fail(void);

/* Where the stack begins, and where reset and the exceptions lead to. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = {stack_end, {reset, fail, fail, fail, fail, fail, 0, 0, 0, 0, fail, fail, 0, fail, fail}};

void reset(void) {
    /* Floats may be used (CPACR), numbers next to zero stay what they are, and all is rounded to the nearest (FPSCR). */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb\n\tvmsr fpscr, %0" ::"r"(0));
    const uint32_t *from = data_in_flash;
    for (volatile uint32_t *to = data_start; to < data_end; to++) *to = *from++;
    for (volatile uint32_t *to = bss_start; to < bss_end; to++) *to = 0;
    board_exit(main());
}

/* A stack that is too small ends here too: below it there is no memory. */
static void fail(void) {
    board_print("fault\n");
    board_exit(1);
}

/* ldexp tells of an overflow here. The C library's own would be a whole structure for input and output. */
int *__errno(void);

int *__errno(void) {
    static int number;
    return &number;
}
