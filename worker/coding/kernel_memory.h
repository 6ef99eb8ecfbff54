/* Where a layer's working memory comes from while it is coded: the heap, or on a device what the caller gives. */
#ifndef TONOK_KERNEL_MEMORY_H
#define TONOK_KERNEL_MEMORY_H

#include "kernel_stream.h"

#ifdef TONOK_DEVICE

/* Handed out from the front on; a layer gives back all of it by setting `used_words` and `used_bytes` to 0. */
typedef struct {
    uint32_t *words;
    uint8_t *bytes;
    size_t num_words, num_bytes, used_words, used_bytes;
} Memory;

static inline uint32_t *take_words(Memory *memory, size_t count) {
    if (count > memory->num_words - memory->used_words) return NULL;
    uint32_t *taken = memory->words + memory->used_words;
    memory->used_words += count;
    memset(taken, 0, count * sizeof *taken);
    return taken;
}

static inline uint8_t *take_bytes(Memory *memory, size_t count) {
    if (count > memory->num_bytes - memory->used_bytes) return NULL;
    uint8_t *taken = memory->bytes + memory->used_bytes;
    memory->used_bytes += count;
    memset(taken, 0, count);
    return taken;
}

static inline void give_back(Memory *memory, void *taken) {
    (void)memory;
    (void)taken;
}

#else

typedef struct {
    char unused;
} Memory;

/* Fresh pages cost nothing before they are written to. */
static inline uint32_t *take_words(Memory *memory, size_t count) {
    (void)memory;
    return calloc(count ? count : 1, sizeof(uint32_t));
}

static inline uint8_t *take_bytes(Memory *memory, size_t count) {
    (void)memory;
    return calloc(count ? count : 1, 1);
}

static inline void give_back(Memory *memory, void *taken) {
    (void)memory;
    free(taken);
}

#endif

#endif
