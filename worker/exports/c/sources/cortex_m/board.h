/* What the program takes of its surroundings: a clock, and the files and the console of the computer that runs QEMU. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* The board's 32-bit timer, at 25 MHz: under `-icount shift=2` an instruction takes 4 ns, so that a tick is ten. */
void board_start_timer(void);
/* Ticks since it was started, modulo 2^32. */
uint32_t board_read_timer(void);

/* Opens pictures.raw: a number to read it by, less than zero where there is no such file. */
int board_open_pictures(void);
/* Returns how many bytes were read: fewer than `count` at the end of the file. */
size_t board_read(int file, void *to, size_t count);
void board_print(const char *text);
void board_exit(int status);

#endif
