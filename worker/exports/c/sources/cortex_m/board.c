/* QEMU's mps2-an386. Files, console and exit are semihosting: a breakpoint that QEMU answers, and no library. */
#include "board.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };

#define READ_BINARY 1u
#define APPLICATION_EXIT 0x20026u

static uint32_t call_host(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

#define TIMER ((volatile uint32_t *)0x40000000u) /* of CMSDK: control, value, reload */

void board_start_timer(void) {
    TIMER[0] = 0;
    TIMER[1] = TIMER[2] = UINT32_MAX;
    TIMER[0] = 1;
}

uint32_t board_read_timer(void) {
    return UINT32_MAX - TIMER[1];
}

int board_open_pictures(void) {
    static const char name[] = "pictures.raw";
    const uint32_t arguments[] = {(uint32_t)name, READ_BINARY, sizeof name - 1};
    return (int)call_host(SYS_OPEN, arguments);
}

size_t board_read(int file, void *to, size_t count) {
    const uint32_t arguments[] = {(uint32_t)file, (uint32_t)to, (uint32_t)count};
    return count - call_host(SYS_READ, arguments);
}

void board_print(const char *text) {
    call_host(SYS_WRITE0, text);
}

void board_exit(int status) {
    const uint32_t arguments[] = {APPLICATION_EXIT, (uint32_t)status};
    for (;;) call_host(SYS_EXIT_EXTENDED, arguments);
}
