/* What is known of a decision: adaptive probabilities, and those of them that only a few of many keys ever have. */
#ifndef TONOK_KERNEL_CONTEXTS_H
#define TONOK_KERNEL_CONTEXTS_H

#include "kernel_memory.h"

/* ---- Contexts: 22 bits of probability above 10 bits of the number of decisions seen. ---- */

enum { STATE_BITS = 22, COUNT_BITS = 10, MAX_COUNT = 999, EVEN_STATE = 1 << (STATE_BITS - 1) };

/* A new context reads as 0, as fresh memory does; no state is all ones, so a stored state is never 0. */
static inline uint32_t pack_state(int32_t probability, uint32_t count) {
    return ~((uint32_t)probability << COUNT_BITS | count);
}

static inline int32_t probability_of(uint32_t slot) { return (int32_t)(~slot >> COUNT_BITS); }

static inline uint32_t learn(uint32_t slot, int bit) {
    int32_t state = probability_of(slot), count = (int32_t)(~slot & ((1 << COUNT_BITS) - 1));
    state += (int32_t)((int64_t)((bit << STATE_BITS) - state) * (65536 / (count + 3)) >> 16);
    return pack_state(state, (uint32_t)(count < MAX_COUNT ? count + 1 : count));
}

/* ---- Contexts of which only a few of many will be met: open addressing, so that memory follows the decisions made and
 * not the shape that a file declares. ---- */

typedef struct {
    uint32_t *keys, *slots; /* key + 1; 0: free */
    uint64_t capacity, used, limit;
} Contexts;

/* Of the product the high bits: the low ones depend on the low bits of the key alone, which are a node, one of few. */
static inline uint64_t home_of(const Contexts *table, uint32_t key) {
    return (key * 0x9E3779B97F4A7C15u >> 32) * table->capacity >> 32;
}

static inline uint32_t *probe(Contexts *table, uint32_t key) {
    uint64_t i = home_of(table, key);
    while (table->keys[i] != 0 && table->keys[i] != key + 1)
        if (++i == table->capacity) i = 0;
    table->used += table->keys[i] == 0;
    table->keys[i] = key + 1;
    return &table->slots[i];
}

#ifdef TONOK_DEVICE
enum { FILLED_TO_FREE = 4 }; /* memory is dear */
#else
enum { FILLED_TO_FREE = 1 }; /* few steps are dear */
#endif

/* Room for `expected` of them. 1, or 0 where there is no memory. */
static inline int open_contexts(Contexts *table, Memory *memory, uint64_t expected) {
    *table = (Contexts){.capacity = expected + expected / FILLED_TO_FREE + 2, .limit = expected};
    table->keys = take_words(memory, (size_t)table->capacity);
    table->slots = take_words(memory, (size_t)table->capacity);
    return table->keys && table->slots;
}

static inline void close_contexts(Contexts *table, Memory *memory) {
    give_back(memory, table->keys);
    give_back(memory, table->slots);
}

static inline int grow_contexts(Contexts *table, Memory *memory) {
#ifdef TONOK_DEVICE
    (void)table;
    (void)memory;
    return 0; /* as many as the export has counted, and no more */
#else
    Contexts larger;
    if (!open_contexts(&larger, memory, 2 * table->limit)) {
        close_contexts(&larger, memory);
        return 0;
    }
    for (uint64_t i = 0; i < table->capacity; i++)
        if (table->keys[i]) *probe(&larger, table->keys[i] - 1) = table->slots[i];
    close_contexts(table, memory);
    *table = larger;
    return 1;
#endif
}

static inline uint32_t *find(Contexts *table, Memory *memory, uint32_t key) {
    if (table->used > table->limit && !grow_contexts(table, memory)) return NULL;
    return probe(table, key);
}

#endif
