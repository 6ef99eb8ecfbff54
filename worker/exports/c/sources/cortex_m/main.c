/* Runs the network on the pictures of the file pictures.raw, in the folder that QEMU is started in. It prints a line for
 * each: the class, the instructions, the stack in bytes, and the bits of each logit as eight hexadecimal digits. The first
 * line is of what is done once before, where there is any such thing. Library functions are for the network alone. */
#include "board.h"
#include "network.h"

#define PAINT 0xA5C3961Eu

extern uint32_t stack_start[];

static struct network_memory memory;
/* What the network is handed is not its own memory. */
static uint8_t picture[NETWORK_PICTURE_BYTES] __attribute__((section(".bss.harness")));
static float logits[NETWORK_CLASSES] __attribute__((section(".bss.harness")));

static void print_number(uint32_t number) {
    char text[12], *first = text + sizeof text - 1;
    *first = 0;
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    board_print(first);
}

static void print_bits(float value) {
    union {
        float value;
        uint32_t bits;
    } same = {value};
    char text[10];
    text[0] = ' ';
    text[9] = 0;
    for (int digit = 8; digit > 0; digit--, same.bits >>= 4) text[digit] = "0123456789abcdef"[same.bits & 15];
    board_print(text);
}

static void print_cost(uint32_t ticks, uint32_t stack) {
    print_number(ticks);
    board_print("0 "); /* a tick is ten instructions */
    print_number(stack);
}

/* Each step lies in the function that calls the network: one of its own would paint over itself. */
#define MEASURE(call, ticks, stack)                                                 \
    do {                                                                            \
        volatile uint32_t *top, *word;                                              \
        __asm__ volatile("mov %0, sp" : "=r"(top));                                 \
        for (word = stack_start; word < top; word++) *word = PAINT;                 \
        const uint32_t started = board_read_timer();                                \
        call;                                                                       \
        (ticks) = board_read_timer() - started;                                     \
        for (word = stack_start; word < top && *word == PAINT;) word++;             \
        (stack) = (uint32_t)((const volatile char *)top - (const volatile char *)word); \
    } while (0)

int main(void) {
    uint32_t ticks, stack;
    int file = board_open_pictures();
    if (file < 0) {
        board_print("there is no pictures.raw\n");
        return 1;
    }
    board_start_timer();
#ifdef NETWORK_SET_UP
    int status;
    MEASURE(status = NETWORK_SET_UP(&memory), ticks, stack);
    if (status != 0) {
        board_print("the network's bytes are damaged\n");
        return 1;
    }
    board_print("set-up ");
    print_cost(ticks, stack);
    board_print("\n");
#endif
    size_t read;
    while ((read = board_read(file, picture, sizeof picture)) == sizeof picture) {
        MEASURE(network_run(picture, &memory, logits), ticks, stack);
        uint32_t best = 0;
        for (uint32_t i = 1; i < NETWORK_CLASSES; i++)
            if (logits[i] > logits[best]) best = i;
        print_number(best);
        board_print(" ");
        print_cost(ticks, stack);
        for (uint32_t i = 0; i < NETWORK_CLASSES; i++) print_bits(logits[i]);
        board_print("\n");
    }
    if (read != 0) board_print("the last picture is not whole\n");
    return read != 0;
}
